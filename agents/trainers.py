"""The table of trainers. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from agents.trainer import Trainer
from agents.union import Union
from mm_envs.names import one_of, refuse_unknown

TRAINERS: dict[str, str] = {
    "sft": "agents.sft:SFT",
    "reinforce": "agents.policy_gradient:REINFORCE",
    "self-critical": "agents.policy_gradient:SelfCritical",
    "rloo": "agents.policy_gradient:RLOO",
    "grpo": "agents.policy_gradient:GRPO",
    "ppo": "agents.policy_gradient:PPO",
    "expert-iteration": "agents.policy_gradient:ExpertIteration",
    "dpo": "agents.preference_trainer:DPO",
    "dqn": "agents.q_learning:DQN",
    "sb3-ppo": "agents.sb3.trainer:PPOTrainer",
    "sb3-a2c": "agents.sb3.trainer:A2CTrainer",
    "sb3-dqn": "agents.sb3.trainer:DQNTrainer",
}


def trainer_class(algo: str) -> type[Trainer]:
    """The class of a trainer.

    Raises:
        ValueError: There is no such trainer.

    Example:
        >>> trainer_class("sft").Settings.__name__
        'SFTSettings'
    """
    if algo not in TRAINERS:
        raise ValueError(one_of("algo", algo, TRAINERS))
    module, _, name = TRAINERS[algo].partition(":")
    found: type[Trainer] = getattr(import_module(module), name)
    return found


def make_trainer(
    algo: str, envs: Any, *, seed: int = 0, settings: Any = None, device: Any = None, **policy: Any
) -> Trainer:
    """An untrained trainer. The process-wide generators are left as they were.

    Args:
        algo: A name of ``TRAINERS``.
        envs: A vector environment of ``gym.make_vec``; sb3-ppo, sb3-a2c and sb3-dqn take a
            ``VecEnv`` of Stable-Baselines3, too, and policy gradients ``agents.union.union``.
        seed: Decides initial weights, exploration, episodes and draws.
        settings: Of the algorithm, see ``trainer_class(algo).Settings``; None for the defaults.
        device: Where the policy lives; None for the device of the environment.
        policy: Arguments of the network, such as ``features`` and ``hidden``.

    Raises:
        ValueError: A name is unknown, or an argument does not fit.

    Example:
        >>> from mm_envs.engine.vector import MultimodalVectorEnv
        >>> envs = MultimodalVectorEnv(8, "classify", dataset="digits", feedback="truth")
        >>> make_trainer("rloo", envs, features=16).step
        0
    """
    kind: Any = trainer_class(algo)
    if isinstance(envs, Union):
        from agents.multi_task import MultiTask

        return MultiTask(kind, algo, envs, settings, policy, seed, device)
    made: Trainer = kind(algo, envs, settings=settings, policy_arguments=policy, seed=seed, device=device)
    return made


def make_settings(algo: str, given: Mapping[str, Any]) -> Any:
    """Settings of an algorithm from names and numbers, perhaps of an untrusted file.

    Raises:
        ValueError: A name is unknown, or a value is not of the type of its setting.
    """
    kind = trainer_class(algo).Settings
    types = {one.name: str(one.type) for one in fields(kind)}
    refuse_unknown(kind.__name__, given, list(types))
    for key, value in given.items():
        if not _fits(value, types[key]):
            what = "a name" if "str" in types[key] else "a number, true or false"
            raise ValueError(f"{kind.__name__}: {key}={value!r} is not {what}: give one, or leave it out")
    return kind(**given)


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value of a file may be a setting with an annotation, such as ``float | None``."""
    if value is None:
        return "None" in annotation
    if isinstance(value, str):
        return "str" in annotation
    return isinstance(value, (bool, int, float)) and annotation != "str"
