"""Environments that the tests of the agents share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import gymnasium as gym
import pytest
import torch

import mm_envs  # noqa: F401 - registers the environments

MakeEnvs: TypeAlias = "Callable[..., gym.vector.VectorEnv]"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are quicker on one thread, and so are the tests that run at the same time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make() -> MakeEnvs:
    """Makes a vector environment with true rewards: one step an episode, or several with ``words=True``."""

    def make_vec(num_envs: int, words: bool = False, **arguments: Any) -> gym.vector.VectorEnv:
        arguments = {"feedback": "truth", **arguments}
        return gym.make_vec("MMVQA-tokens-v0" if words else "MMClassify-digits-v0", num_envs, **arguments)

    return make_vec
