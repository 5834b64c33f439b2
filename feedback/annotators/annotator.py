"""The protocol of annotators, simulated or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from mm_envs.episodes import Episodes


@dataclass(frozen=True)
class Comparison:
    """Choices of an annotator on n pairs of answers.

    Attributes:
        choice: ``feedback.preferences`` FIRST, SECOND, TIE or SKIP, (n,) int64.
        latency: Seconds until the answer came, (n,) float32.
    """

    choice: Tensor
    latency: Tensor


class Comparer(Protocol):
    """Compares answers; ``name`` is that of the annotator in records."""

    name: str

    def compare(self, first: Episodes, second: Episodes, label: Tensor | None = None) -> Comparison:
        """Chooses the better of two answers to the same question.

        Args:
            first: The answers that are displayed first, n episodes with reference and key.
            second: The answers that are displayed second: same contexts, references and keys.
            label: How many labels the annotator has given before each one, (n,) int64; None for 0.
        """
        ...
