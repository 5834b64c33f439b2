"""Observations as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch

from mm_envs.spaces import Tokens


def decode(env: gym.Env[Any, Any] | gym.vector.VectorEnv, observation: Mapping[str, Any]) -> dict[str, Any]:
    """The text of every Tokens entry of an observation.

    A function, since wrappers of the environment would hide a method.

    Args:
        env: The environment, wrapped or not, single or vector.
        observation: One observation, or a batch of them.

    Returns:
        One string an entry, or a list of strings for a batch.
    """
    space = getattr(env, "single_observation_space", None) or env.observation_space
    assert isinstance(space, gym.spaces.Dict)
    words: dict[str, Any] = {}
    for key, entry in space.spaces.items():
        if isinstance(entry, Tokens):
            ids = torch.as_tensor(observation[key])
            single = ids.ndim == 1
            texts = [entry.vocabulary.decode(row) for row in ids.reshape(-1, ids.shape[-1])]
            words[key] = texts[0] if single else texts
    return words
