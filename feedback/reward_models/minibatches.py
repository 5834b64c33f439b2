"""Labels by context: minibatches with each context and each answer once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feedback.preferences.batches import Answers, Labelled, Labels


class ContextBatches:
    """The labels of some contexts at a time, sorted by context once.

    A label belongs to the context of its first answer.

    Args:
        labelled: Answers with labels.

    Attributes:
        contexts: Those that have labels, (k,) int64, ascending.
    """

    def __init__(self, labelled: Labelled) -> None:
        self.labelled = labelled
        if not any(len(labels) for labels in labelled.labels):
            raise ValueError("there are no labels: collect some")
        answers = labelled.answers
        m = int(answers.context.max()) + 1
        self._orders, self._starts, self._counts = [], [], []
        for labels in labelled.labels:
            rows = _rows(labels)[0]
            context = answers.context[rows if rows.ndim == 1 else rows[:, 0]]
            self._orders.append(context.argsort(stable=True))
            counts = torch.bincount(context, minlength=m)
            self._counts.append(counts)
            self._starts.append(counts.cumsum(0) - counts)
        self.contexts = torch.stack(self._counts).sum(0).nonzero()[:, 0]
        # The last entry is that of row -1, which is no answer.
        self._row_of = torch.full((len(answers) + 1,), -1, device=answers.context.device)

    def take(self, contexts: Tensor) -> Labelled:
        """All labels of some contexts (k,) int64, with their answers and contexts, each once.

        A context that is given twice brings its labels twice.
        """
        parts = []
        for labels, order, start, count in zip(
            self.labelled.labels, self._orders, self._starts, self._counts, strict=True
        ):
            parts.append(labels.take(order[_ranges(start[contexts], count[contexts])]))
        return self._with_answers(parts)

    def _with_answers(self, parts: list[Labels]) -> Labelled:
        rows = torch.unique(torch.cat([rows.flatten() for labels in parts for rows in _rows(labels)]))
        rows = rows[rows >= 0]
        self._row_of[rows] = torch.arange(len(rows), device=rows.device)
        parts = [
            replace(labels, **{name: self._row_of[getattr(labels, name)] for name in labels.rows})
            for labels in parts
        ]
        return replace(self.labelled, answers=self.labelled.answers.take(rows), labels=tuple(parts))


def split(labelled: Labelled, share: float, generator: torch.Generator) -> tuple[Labelled, Labelled | None]:
    """Labels parted by context: no context, and so no answer, is in both parts.

    A label across contexts goes with its first answer and takes the others along.

    Args:
        labelled: Answers with labels.
        share: Of the contexts, for the second part; rounded, at least one stays in the first.
        generator: Draws them.

    Returns:
        Both parts; None for an empty second one.
    """
    batches = ContextBatches(labelled)
    contexts = batches.contexts[torch.randperm(len(batches.contexts), generator=generator)]
    out = min(round(share * len(contexts)), len(contexts) - 1)
    if out == 0:
        return labelled, None
    return batches.take(contexts[out:].sort().values), batches.take(contexts[:out].sort().values)


def merged(labelled: Labelled) -> Labelled:
    """The same labels with equal contexts as one: held-out contexts are not trained on under another row."""
    answers = labelled.answers
    columns = [_bytes(value) for _, value in sorted(answers.contexts.items())]
    first: dict[bytes, int] = {}
    rows = zip(*columns, strict=True)
    merged_to = torch.tensor([first.setdefault(_hashed(row), len(first)) for row in rows])
    n = len(merged_to)
    if len(first) == n:
        return labelled
    kept = torch.full((len(first),), n).scatter_reduce(0, merged_to, torch.arange(n), "amin")
    device = answers.context.device
    contexts = {key: value[kept.to(device)] for key, value in answers.contexts.items()}
    return replace(
        labelled, answers=replace(answers, contexts=contexts, context=merged_to.to(device)[answers.context])
    )


def _bytes(value: Tensor) -> np.ndarray[Any, Any]:
    rows = value.detach().cpu().contiguous().numpy()
    return rows.reshape(len(rows), -1)


def _hashed(row: tuple[np.ndarray[Any, Any], ...]) -> bytes:
    sha = hashlib.sha256()
    for part in row:
        sha.update(part.data)
    return sha.digest()


def digest(labelled: Labelled) -> str:
    """The SHA-256 of answers and labels, as hexadecimal digits: another label, another digest."""
    labels = sorted(labelled.labels, key=lambda one: type(one).__name__)
    named = {f"{type(one).__name__} {name}": value for one in labels for name, value in one.tensors().items()}
    return _sha256(named, digest_of_answers(labelled.answers), *labelled.annotators)


def digest_of_answers(answers: Answers) -> str:
    """The SHA-256 of answers with their contexts, as hexadecimal digits."""
    named = {f"context {key}": value for key, value in sorted(answers.contexts.items())}
    named |= {"context": answers.context, "response": answers.response}
    named |= {f"turns {key}": value for key, value in sorted((answers.turns or {}).items())}
    return _sha256(named if answers.length is None else {**named, "length": answers.length})


def _sha256(named: Mapping[str, Tensor], *words: str) -> str:
    sha = hashlib.sha256()
    for name, value in named.items():
        sha.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        sha.update(value.detach().cpu().contiguous().numpy().data)
    sha.update("\n".join(words).encode())
    return sha.hexdigest()


def sample(answers: Answers, n: int, generator: torch.Generator) -> Answers:
    """At most n different answers of a table, drawn uniformly."""
    rows = torch.randperm(len(answers), generator=generator)[:n].sort().values
    return answers.take(rows.to(answers.context.device))


def _rows(labels: Labels) -> list[Tensor]:
    """Rows of the answers that labels speak of."""
    return [getattr(labels, name) for name in labels.rows]


def _ranges(start: Tensor, count: Tensor) -> Tensor:
    """start[0], start[0] + 1, ... (count[0] of them), start[1], ..."""
    before = count.cumsum(0) - count
    return (start - before).repeat_interleave(count) + torch.arange(int(count.sum()), device=count.device)
