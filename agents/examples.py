"""Good answers to training items: what supervised trainers and warm starts learn from."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from agents.rollout import Rollout
from mm_envs.engine.pool import shared_pool
from mm_envs.random import fold, stream
from mm_envs.tasks.play import turns_of
from mm_envs.tasks.task import Task


class Examples:
    """Training items of a task (at most so many) with good answers to them.

    The seed decides the order of each epoch and, of several references, which one.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> examples = Examples(make_task("vqa", answer="tokens"), items=5)
        >>> batch = examples.batch(step=0, size=4)
        >>> len(examples), tuple(batch.response.shape)
        (5, (4, 1, 3))
    """

    def __init__(
        self, task: Task, items: int | None = None, device: torch.device | str = "cpu", seed: int = 0
    ) -> None:
        self._task, self._device, self._seed = task, torch.device(device), seed
        self._pool = shared_pool(task, "train", self._device)
        self._size = self._pool.size if items is None else min(items, self._pool.size)
        self._order = lru_cache(maxsize=1)(self._order_of)

    def __len__(self) -> int:
        return self._size

    def _order_of(self, epoch: int) -> Tensor:
        hashes = fold(stream(self._seed, "order of fine-tuning"), epoch, torch.arange(self._size))
        return hashes.argsort().to(self._device)

    def batch(self, step: int, size: int) -> Rollout:
        """The items from a step on, with one good answer each; an epoch takes every item once.

        Args:
            step: Items taken before.
            size: How many; fewer at the end of an epoch.
        """
        task, pool, epoch = self._task, self._pool, step // self._size
        rows = self._rows(step, size)
        context = {key: pool.rows(field, rows) for key, field in task.context.items()}
        reference = {field: pool.rows(field, rows) for field in task.reference}
        hashes = fold(stream(self._seed, "references of fine-tuning", self._device), epoch, rows)
        answer = task.good(reference, hashes)
        fields = {**{task.context[key]: value for key, value in context.items()}, **reference}
        key = torch.stack([torch.zeros_like(rows), rows, torch.zeros_like(rows)], 1)
        turns = turns_of(task, answer, fields, key)
        several = None if turns is None else {name: value[:, None] for name, value in turns.items()}
        return Rollout(context, answer[:, None], turns=several, item=pool.first + rows)

    def contexts(self, step: int, size: int) -> dict[str, Tensor]:
        """The contexts of ``batch`` alone, by observation key; no references are needed."""
        rows = self._rows(step, size)
        return {key: self._pool.rows(field, rows) for key, field in self._task.context.items()}

    def _rows(self, step: int, size: int) -> Tensor:
        epoch, start = divmod(step, self._size)
        rows = self._order(epoch)[start : start + size]
        if self._device.type == "cpu":
            self._pool.ensure(rows)
        return rows
