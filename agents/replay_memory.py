"""A replay memory of whole answers, which refers to contexts by the index of their item."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.state import State, copy_tensors
from mm_envs.answers import AnswerKind
from mm_envs.arrays import native
from mm_envs.batch import Batch
from mm_envs.engine.pool import shared_pool
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import at_least


@dataclass(frozen=True)
class Remembered(Batch):
    """n answers with what each part of them was paid.

    Attributes:
        item: The index of the item in the dataset, (n,) int64.
        response: As ``Episodes.response``, (n, ...).
        length: (n,) int64; 0 for kinds without length.
        reward: Of each part, (n, parts) float32.
    """

    item: Tensor
    response: Tensor
    length: Tensor
    reward: Tensor

    def __len__(self) -> int:
        return len(self.item)


class ReplayMemory:
    """A ring of the last answers.

    Contexts are gathered from the items of the environment when they are needed, so that an answer takes tens
    of bytes, whatever its pictures take.

    Args:
        envs: The environment whose items the contexts are.
        size: Answers.
        parts: Of an answer.
    """

    def __init__(self, envs: MultimodalVectorEnv, size: int, parts: int) -> None:
        at_least("size", size, 1)
        self._task, self.size, self.count = envs.task, size, 0
        self._pool = shared_pool(envs.task, envs.split, envs.device)
        self._device = envs.device
        whole = torch.zeros(_shape(envs.task.answer, size), dtype=torch.int64, device=envs.device)
        numbers = torch.zeros((size, parts), dtype=torch.float32, device=envs.device)
        item = torch.zeros(size, dtype=torch.int64, device=envs.device)
        self._ring = Remembered(item, whole, torch.zeros_like(item), numbers)

    def __len__(self) -> int:
        """How many answers there are."""
        return min(self.count, self.size)

    def add(self, answers: Remembered) -> None:
        """Puts answers in, in place of the oldest."""
        answers = answers.to(self._device)
        kept = answers.take(torch.arange(max(len(answers) - self.size, 0), len(answers)))
        first = self.count + len(answers) - len(kept)
        rows = torch.arange(first, first + len(kept), device=self._device) % self.size
        for name, table in vars(self._ring).items():
            table[rows] = getattr(kept, name)
        self.count += len(answers)

    def take(self, rows: Tensor) -> Remembered:
        """The answers of some rows, (n,) int64 in [0, len)."""
        return self._ring.take(rows.to(self._device))

    def contexts(self, item: Tensor) -> dict[str, Tensor]:
        """The contexts of items by observation key, (n, ...)."""
        rows = native(item - self._pool.first)
        self._pool.ensure(rows)
        return {key: self._pool.rows(field, rows) for key, field in self._task.context.items()}

    def state_dict(self) -> State:
        """All answers."""
        return State(
            {"count": self.count}, {name: one[: len(self)] for name, one in vars(self._ring).items()}
        )

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state.

        Raises:
            ValueError: The answers are not those of such a memory.
        """
        self.count = int(state.values["count"])
        at_least("count", self.count, 0)
        into = {name: one[: len(self)] for name, one in vars(self._ring).items()}
        copy_tensors(into, state.tensors, "replay memory")
        item = into["item"]
        if len(item) and not bool(
            ((item >= self._pool.first) & (item < self._pool.first + self._pool.size)).all()
        ):
            raise ValueError(
                f"the replay memory has items outside {self._pool.size} of the split: train again"
            )


def _shape(kind: AnswerKind, size: int) -> tuple[int, ...]:
    return (size, kind.steps) if kind.sequential else (size,)
