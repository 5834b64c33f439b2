"""Feedback as tensors: a table of answers, and labels that index its rows.

So an answer is scored once however many labels there are on it, a context is encoded once for all its
answers, and mixed labels train one model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mm_envs.batch import Batch

FIRST, SECOND, TIE, SKIP = range(4)


@dataclass(frozen=True)
class Answers(Batch):
    """Answers to m contexts.

    Attributes:
        contexts: By observation key; each tensor has leading dimension m.
        context: The context of each answer, (a,) int64, a row of ``contexts``.
        response: The answers, (a, ...), as ``Episodes.response``.
        length: The number of words of each answer, (a,) int64; None for kinds without length.
        turns: What was heard between the turns of each answer, (a, ...) by key; None without a conversation.
    """

    contexts: Mapping[str, Tensor]
    context: Tensor
    response: Tensor
    length: Tensor | None = None
    turns: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.context)

    def take(self, rows: Tensor) -> Answers:
        """Some answers, (k,) int64, in that order, with the contexts that they need and no others."""
        needed, context = torch.unique(self.context[rows], return_inverse=True)
        contexts = {key: value[needed] for key, value in self.contexts.items()}
        length = None if self.length is None else self.length[rows]
        turns = None if self.turns is None else {key: value[rows] for key, value in self.turns.items()}
        return Answers(contexts, context, self.response[rows], length, turns)

    @classmethod
    def of(
        cls,
        contexts: Mapping[str, Tensor],
        response: Tensor,
        length: Tensor | None = None,
        turns: Mapping[str, Tensor] | None = None,
    ) -> Answers:
        """The table of k answers to each of m contexts: the answers of context i are rows ``i * k`` on.

        Args:
            contexts: Leading dimension m.
            response: (m, k, ...).
            length: (m, k) int64, or None.
            turns: (m, k, ...) by key, or None.
        """
        m, k = response.shape[:2]
        context = torch.arange(m, device=response.device).repeat_interleave(k)
        length = None if length is None else length.flatten()
        heard = None if turns is None else {key: value.flatten(0, 1) for key, value in turns.items()}
        return cls(contexts, context, response.flatten(0, 1), length, heard)


@dataclass(frozen=True)
class Labels(Batch):
    """n labels; ``annotator`` holds positions in ``Labelled.annotators``, (n,) int64."""

    rows: ClassVar[tuple[str, ...]]
    """The fields that hold rows of the answers, the first answer first."""
    annotator: Tensor

    def __len__(self) -> int:
        return len(self.annotator)

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name, those that are None left out."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Pairs(Labels):
    """The better of two answers.

    Attributes:
        first: A row of the answers, (n,) int64.
        second: Another one.
        choice: FIRST, SECOND, TIE or SKIP, (n,) int64.
        shown_first: Whether ``first`` was displayed first, (n,) bool.
        modalities: What carries the difference of the two answers, or what the annotator was shown, (n, M)
            float shares; None if unknown. Skill may differ between modalities.
    """

    rows: ClassVar[tuple[str, ...]] = ("first", "second")
    first: Tensor
    second: Tensor
    choice: Tensor
    shown_first: Tensor
    modalities: Tensor | None = None

    @property
    def target(self) -> Tensor:
        """1 for FIRST, 0 for SECOND, 0.5 for TIE and SKIP, (n,) float32."""
        return torch.tensor([1.0, 0.0, 0.5, 0.5], device=self.choice.device)[self.choice]


@dataclass(frozen=True)
class Rankings(Labels):
    """Answers in order: rows, best first, (n, K) int64; -1 beyond the end of a shorter ranking."""

    rows: ClassVar[tuple[str, ...]] = ("order",)
    order: Tensor


@dataclass(frozen=True)
class Ratings(Labels):
    """Answers, rows (n,) int64, on a scale, (n,) float32: 0 is the annotator's worst rating, 1 the best."""

    rows: ClassVar[tuple[str, ...]] = ("answer",)
    answer: Tensor
    rating: Tensor


@dataclass(frozen=True)
class Approvals(Labels):
    """Answers, rows (n,) int64, that are good enough or not, (n,) bool."""

    rows: ClassVar[tuple[str, ...]] = ("answer",)
    answer: Tensor
    approved: Tensor


@dataclass(frozen=True)
class Corrections(Labels):
    """Answers and corrected answers, rows (n,) int64 each."""

    rows: ClassVar[tuple[str, ...]] = ("answer", "corrected")
    answer: Tensor
    corrected: Tensor


@dataclass(frozen=True)
class Demonstrations(Labels):
    """Answers that were given, rows (n,) int64, and alternatives, rows (n, K) int64, -1 beyond the end."""

    rows: ClassVar[tuple[str, ...]] = ("answer", "others")
    answer: Tensor
    others: Tensor


@dataclass(frozen=True)
class Critiques(Labels):
    """Answers with and without a part, rows (n,) int64 each; whether the part is good, (n,) bool."""

    rows: ClassVar[tuple[str, ...]] = ("answer", "without")
    answer: Tensor
    without: Tensor
    good: Tensor


@dataclass(frozen=True)
class Labelled:
    """Answers with labels of any kinds.

    Attributes:
        answers: The table that all labels refer to.
        annotators: Their names.
        labels: At most one batch a kind.
    """

    answers: Answers
    annotators: tuple[str, ...]
    labels: tuple[Labels, ...]

    @property
    def pairs(self) -> Pairs:
        """The pairs; a ValueError if there are none."""
        for labels in self.labels:
            if isinstance(labels, Pairs):
                return labels
        raise ValueError("there are no pairs among the labels: collect some, or use another loss")
