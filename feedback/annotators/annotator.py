"""The protocol of annotators, simulated or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mm_envs.answers import response_hashes
from mm_envs.episodes import Episodes
from mm_envs.random import fold, key_hashes


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


def answer_hashes(episodes: Episodes, word: int) -> Tensor:
    """One hash for each of n episodes with keys and its answer, (n,) int64; ``word`` is a ``purpose``."""
    return fold(
        key_hashes(_key(episodes), word), response_hashes(episodes.response, episodes.response_length)
    )


def pair_hashes(first: Episodes, second: Episodes, word: int) -> tuple[Tensor, Tensor]:
    """One hash for each pair of answers, the same in either order, (n,) int64, and a sign, (n,) float32.

    The sign is 1 or -1 by the order of the answers, 1 for two equal ones: noise times the sign favours the
    same answer when they change places.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} answers cannot be compared with {len(second)}: give pairs")
    a = response_hashes(first.response, first.response_length)
    b = response_hashes(second.response, second.response_length)
    hashes = fold(key_hashes(_key(first), word), torch.minimum(a, b), torch.maximum(a, b))
    return hashes, torch.where(a <= b, 1.0, -1.0)


def _key(episodes: Episodes) -> Tensor:
    if episodes.key is None:
        raise ValueError("these episodes carry no key: an annotator draws its noise from it")
    return episodes.key
