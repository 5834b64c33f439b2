"""Several environments for one training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from agents.curriculum import MODES
from agents.environment import describe_environment
from agents.trainer import vector_environment
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import check_one_of

Envs = gym.vector.VectorEnv[Any, Any, Any]


@dataclass(frozen=True)
class Union:
    """Several environments of one training, see ``union``.

    Attributes:
        envs: The environments by name, in order.
        sampling: How often each has its turn, a mode of ``agents.curriculum.GroupSampler``.
        threshold: The average reward from which "ordered" adds the next environment.
    """

    envs: Mapping[str, MultimodalVectorEnv]
    sampling: str = "uniform"
    threshold: float = 0.8


def union(
    envs: Mapping[str, Envs] | Sequence[Envs], sampling: str = "uniform", threshold: float = 0.8
) -> Union:
    """Several environments, of any kinds of answers, as one that policy gradients train on.

    Args:
        envs: What ``gym.make_vec`` makes with ``output="torch"``, by name; a list is named by its ids.
        sampling: How often each has its turn: "uniform", "proportional" (to its number of items),
            "progress" or "ordered"; see ``agents.curriculum.GroupSampler``.
        threshold: The average reward from which "ordered" adds the next environment.

    Raises:
        ValueError: There are fewer than two environments, one is of another kind, or two have the same name.

    Example:
        >>> import mm_envs
        >>> both = union([gym.make_vec(f"MM{name}-v0", 4) for name in ("VQA", "Classify")])
        >>> list(both.envs)
        ['MMVQA-v0', 'MMClassify-v0']
    """
    check_one_of("sampling", sampling, MODES)
    several = [vector_environment(one) for one in (envs.values() if isinstance(envs, Mapping) else envs)]
    if len(several) < 2:
        raise ValueError(f"a union of {len(several)} environments is none: give at least two")
    names = list(envs) if isinstance(envs, Mapping) else [_name(one) for one in several]
    if len(set(names)) != len(names):
        raise ValueError(f"environments {', '.join(names)} are not distinct: give a dict of names")
    engines = {}
    for name, one in zip(names, several, strict=True):
        engine = one.unwrapped
        if not isinstance(engine, MultimodalVectorEnv) or engine.output != "torch":
            raise ValueError(f"environment {name!r} is none of gym.make_vec with output='torch': make it so")
        engines[name] = engine
    return Union(engines, sampling, threshold)


def _name(envs: Envs) -> str:
    task = getattr(envs.unwrapped, "task", envs)
    return str(describe_environment(envs).get("id", type(task).__name__))
