"""Answers as words, and back: many at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.engine.response import in_words, read_response
from mm_envs.tasks.task import Task
from mm_envs.tokenizers import EOS


def answer_words(task: Task, response: Tensor) -> list[str]:
    """Answers as records hold them: words, the name of a class, or numbers as JSON.

    Padding between words is left out, as everybody who judges answers does.

    Args:
        task: The task.
        response: (n, ...), as ``Episodes.response``.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> answer_words(make_task("vqa"), torch.tensor([0, 1]))
        ['yes', 'no']
    """
    rows = response.tolist()
    if in_words(task):
        return [task.vocabulary.decode(row) for row in rows]
    names = _names(task)
    return [names[row] if names else json.dumps(row) for row in rows]


def answers_digest(task: Task) -> str:
    """The digest of the words or names that answers to a task are made of; empty for numbers.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> answers_digest(make_task("caption")) == make_task("caption").vocabulary.digest
        True
    """
    if in_words(task):
        return task.vocabulary.digest
    names = _names(task)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] if names else ""


def _names(task: Task) -> list[str]:
    """The answers that a task lets choose from; none if they are numbers."""
    space = task.action_space
    count = int(space.n) if isinstance(space, gym.spaces.Discrete) else 0
    return [task.words(torch.tensor(number)) for number in range(count)]


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
        words = " ".join(words.split()) if in_words(self._task) else words
        found = self._rows.get((context, words))
        if found is None:
            found = self._rows[context, words] = len(self._rows)
            self._context.append(context)
            self._response.append(self._read(words))
        return found

    def _read(self, words: str) -> int:
        found = self._words.get(words)
        if found is None:
            self._responses.append(read_response(self._task, words))
            found = self._words[words] = len(self._words)
        return found

    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Context (a,) int64, response (a, ...), and for words the length (a,) int64, else None."""
        table = torch.stack(self._responses)
        response = table[torch.tensor(self._response)]
        return torch.tensor(self._context), response, lengths(self._task, response)


def lengths(task: Task, response: Tensor) -> Tensor | None:
    """How many words stand before ``<eos>``, (n,) int64; None for answers that are not words."""
    if not in_words(task):
        return None
    places = torch.arange(response.shape[1], device=response.device)
    return torch.where(response == EOS, places, response.shape[1]).amin(1)


def padded(rows: Sequence[Iterable[int]]) -> Tensor:
    """Lists of different lengths as one matrix (n, longest) int64, -1 beyond the end of each."""
    lists = [list(row) for row in rows]
    longest = max((len(row) for row in lists), default=0)
    return torch.tensor([row + [-1] * (longest - len(row)) for row in lists], dtype=torch.int64).view(
        len(lists), longest
    )
