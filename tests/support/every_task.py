"""Tasks of every kind of answer, and of every registered id, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch

from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Prompts
from mm_envs.random import fold, stream
from mm_envs.tasks import CONFIGURATIONS, Task, make_task

# One task a kind, in the variants that have code of their own.
KIND_TASKS: dict[str, Mapping[str, Any]] = {
    "choice": {"task": "classify", "dataset": "digits"},
    "choice of words": {"task": "vqa"},
    "choice of candidates": {"task": "retrieve"},
    "text": {"task": "vqa", "answer": "tokens"},
    "caption": {"task": "caption"},
    "vector": {"task": "classify", "dataset": "digits", "answer": "distribution"},
    "boxes": {"task": "ground"},
    "ranking": {"task": "retrieve", "answer": "ranking", "candidates": 4},
    "turns": {"task": "guess", "objects": (3, 3)},
}

# Every registered id, and the variants of tasks that have none.
EVERY_TASK: dict[str, Mapping[str, Any]] = {
    **CONFIGURATIONS,
    "retrieve ranking": {"task": "retrieve", "answer": "ranking"},
    "classify distribution": {"task": "classify", "dataset": "digits", "answer": "distribution"},
}


@lru_cache(maxsize=64)
def task_of(name: str) -> Task:
    """The task of a line of either table."""
    return make_task(**{**KIND_TASKS, **EVERY_TASK}[name])


@lru_cache(maxsize=64)
def prompts_of(name: str, n: int, split: str = "train") -> Prompts:
    """What the first n rows of an environment of the task are asked."""
    envs = MultimodalVectorEnv(n, task_of(name), feedback="truth", split=split)
    envs.reset(seed=1)
    prompts = envs.prompts()
    return Prompts(dict(prompts.context), dict(prompts.reference), prompts.key, prompts.item)


def hashes(n: int, seed: int = 3) -> torch.Tensor:
    """One hash a row."""
    return fold(stream(seed, "test"), torch.arange(n))
