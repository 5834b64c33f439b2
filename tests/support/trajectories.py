"""Environments driven by scripted actions, and what they return, compared bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mm_envs import CONFIGURATIONS
from mm_envs.arrays import as_tensor
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.random import fold, integers, stream, uniform


def make(name: str, num_envs: int, **arguments: Any) -> MultimodalVectorEnv:
    return MultimodalVectorEnv(num_envs, **{**CONFIGURATIONS[name], **arguments})


def scripted_actions(envs: MultimodalVectorEnv, step: int) -> Tensor:
    """Actions that depend on the number of the row and the step alone."""
    hashes = fold(stream(0, "scripted actions"), as_tensor(envs._rows.row), step)
    if envs._choices is not None:
        return integers(hashes, envs._choices)
    shape = envs.single_action_space.shape
    index = torch.arange(math.prod(shape), device=hashes.device)
    return (2 * uniform(fold(hashes[:, None], index)) - 1).view(-1, *shape)


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts by path."""
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}/{key}")
    return leaves


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, of one dtype and shape."""
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
