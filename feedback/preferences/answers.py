"""Tables of the answers that records name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from mm_envs.tasks.task import Task


class AnswerTable:
    """Answers to contexts, each once, numbered in the order in which they were asked for.

    Args:
        task: Reads the words.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._words: dict[str, int] = {}
        self._responses: list[Tensor] = []
        self._rows: dict[tuple[int, str], int] = {}
        self._context: list[int] = []
        self._response: list[int] = []

    def row(self, context: int, words: str) -> int:
        """The row of an answer to a context.

        Raises:
            ValueError: It is no answer to the task.
        """
        words = self._task.answer.normalise(words)
        found = self._rows.get((context, words))
        if found is None:
            found = self._rows[context, words] = len(self._rows)
            self._context.append(context)
            self._response.append(self._read(words))
        return found

    def _read(self, words: str) -> int:
        found = self._words.get(words)
        if found is None:
            self._responses.append(self._task.answer.parse(words))
            found = self._words[words] = len(self._words)
        return found

    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Context (a,) int64, response (a, ...), and for words the length (a,) int64, else None."""
        table = torch.stack(self._responses)
        response, length = self._task.answer.finish(table[torch.tensor(self._response)])
        return torch.tensor(self._context), response, length


def padded(rows: Sequence[Iterable[int]]) -> Tensor:
    """Lists of different lengths as one matrix (n, longest) int64, -1 beyond the end of each."""
    lists = [list(row) for row in rows]
    longest = max((len(row) for row in lists), default=0)
    return torch.tensor([row + [-1] * (longest - len(row)) for row in lists], dtype=torch.int64).view(
        len(lists), longest
    )
