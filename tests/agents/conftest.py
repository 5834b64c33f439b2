"""Environments that the tests of the agents share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium as gym
import pytest

import mm_envs  # noqa: F401 - registers the environments

MakeEnvs: TypeAlias = "Callable[..., gym.vector.VectorEnv]"


@pytest.fixture
def make() -> MakeEnvs:
    """Makes a vector environment with true rewards: one step an episode, or several with ``words=True``."""

    def make_vec(num_envs: int, words: bool = False, **arguments: Any) -> gym.vector.VectorEnv:
        arguments = {"feedback": "truth", **arguments}
        return gym.make_vec("MMVQA-tokens-v0" if words else "MMClassify-digits-v0", num_envs, **arguments)

    return make_vec
