"""Policies trained on references, which several cells start from: made once in a process."""

from __future__ import annotations

from functools import lru_cache

from agents.policy import ResponsePolicy
from agents.sft import sft
from mm_envs.tasks import CONFIGURATIONS, Task, make_task


@lru_cache(maxsize=2)
def trained_policy(
    id: str, epochs: int, items: int | None = None, features: int = 128
) -> tuple[Task, ResponsePolicy]:
    """A task and a policy that is trained on its references and frozen.

    Args:
        id: The environment.
        epochs: Of the training.
        items: Training items; None for all.
        features: Numbers per context.
    """
    task = make_task(**CONFIGURATIONS[id])
    policy = sft(task, epochs=epochs, items=items, features=features)
    return task, policy.eval().requires_grad_(False)
