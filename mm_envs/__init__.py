"""Multimodal tasks as Gymnasium environments whose reward comes from human feedback.

Importing this package registers its environments with Gymnasium:

    >>> import gymnasium as gym
    >>> import mm_envs
    >>> env = gym.make("MMClassify-digits-v0")
    >>> observation, info = env.reset(seed=1)
    >>> observation["image"].shape
    (1, 40, 40)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gymnasium as gym

from mm_envs.optional import lazy_attributes
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    from mm_envs.engine.check import check_vector_env
    from mm_envs.engine.issue import ticket
    from mm_envs.engine.output import decode
    from mm_envs.engine.replay import replay
    from mm_envs.engine.single import MultimodalEnv
    from mm_envs.engine.vector import MultimodalVectorEnv
    from mm_envs.episodes import Episodes, Feedback, Judgement

__version__ = "0.1.0"

__getattr__ = lazy_attributes(
    __name__,
    {
        "mm_envs.engine.check": ["check_vector_env"],
        "mm_envs.engine.issue": ["ticket"],
        "mm_envs.engine.output": ["decode"],
        "mm_envs.engine.replay": ["replay"],
        "mm_envs.engine.single": ["MultimodalEnv"],
        "mm_envs.engine.vector": ["MultimodalVectorEnv"],
        "mm_envs.episodes": ["Episodes", "Feedback", "Judgement"],
    },
)


def _register() -> None:
    for name, arguments in CONFIGURATIONS.items():
        gym.register(
            id=name,
            entry_point="mm_envs.engine.single:MultimodalEnv",
            vector_entry_point="mm_envs.engine.vector:MultimodalVectorEnv",
            kwargs=dict(arguments),
        )


_register()

__all__ = [
    "CONFIGURATIONS",
    "Episodes",
    "Feedback",
    "Judgement",
    "MultimodalEnv",
    "MultimodalVectorEnv",
    "check_vector_env",
    "decode",
    "replay",
    "ticket",
]
