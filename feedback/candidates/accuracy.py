"""How often the better of two answers gets the higher score."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

_Z = 1.959964


@dataclass(frozen=True)
class PairAccuracy:
    """The share of pairs in which the answer of higher utility gets the higher score.

    Attributes:
        accuracy: The share, in [0, 1], over the pairs whose utilities differ; equal scores count one half.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tie_rate: The share of all pairs whose utilities are exactly equal, which are left out.
        n: How many pairs are left.
        sampler: Where the answers come from, as ``Sampler.name``: without it an accuracy says nothing.

    Raises:
        ValueError: There is no sampler.
    """

    accuracy: float
    low: float
    high: float
    tie_rate: float
    n: int
    sampler: str

    def __post_init__(self) -> None:
        if not self.sampler.strip():
            raise ValueError(f"sampler={self.sampler!r} is empty: say where the answers come from")

    def __str__(self) -> str:
        return (
            f"{self.accuracy:.3f} [{self.low:.3f}, {self.high:.3f}] of {self.n} pairs, ties "
            f"{self.tie_rate:.1%} left out, {self.sampler}"
        )


def pair_accuracy(
    scores_first: Tensor,
    scores_second: Tensor,
    utility_first: Tensor,
    utility_second: Tensor,
    sampler: str,
    prompt: Tensor | None = None,
) -> PairAccuracy:
    """How often a judge agrees with the truth about which of two answers is better.

    The interval is that of Wilson (1927) for the effective number of pairs: pairs of one prompt are alike, so
    the variance is that between prompts (Kish, "Survey Sampling", 1965: the design effect).

    Args:
        scores_first: What the judge says of the first answers, (n,).
        scores_second: Of the second ones.
        utility_first: Their true utility, (n,).
        utility_second: That of the second ones.
        sampler: Where the answers come from, as ``Sampler.name``.
        prompt: Which prompt each pair belongs to, (n,) int64; None for one pair a prompt.

    Raises:
        ValueError: There is no sampler, a score or utility is NaN, or all pairs are ties.

    Example:
        >>> one, two = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 5.0, 1.0])
        >>> truth = torch.tensor([0.9, 0.5, 0.7]), torch.tensor([0.1, 0.5, 0.8])
        >>> found = pair_accuracy(one, two, *truth, sampler="by hand")
        >>> found.accuracy, found.n, round(found.tie_rate, 2)
        (0.5, 2, 0.33)
    """
    for name, one in (("score", scores_first - scores_second), ("utility", utility_first - utility_second)):
        if bool(one.isnan().any()):
            raise ValueError(f"{int(one.isnan().sum())} of {len(one)} pairs have a {name} that is NaN")
    differ = utility_first != utility_second
    n, pairs = int(differ.sum()), len(differ)
    if n == 0:
        raise ValueError(f"all {pairs} pairs of sampler={sampler!r} are exact ties: draw other answers")
    said = (scores_first - scores_second).sign() * (utility_first - utility_second).sign()
    right = (said[differ].double() + 1) / 2
    share = float(right.mean())
    low, high = wilson(share, _effective(right, None if prompt is None else prompt[differ]))
    return PairAccuracy(share, low, high, 1 - n / pairs, n, sampler)


def _effective(right: Tensor, prompt: Tensor | None) -> float:
    """How many independent pairs tell as much as these."""
    n, share = len(right), float(right.mean())
    if prompt is None:
        return n
    _, place = torch.unique(prompt, return_inverse=True)
    clusters = int(place.max()) + 1
    if clusters == 1:
        return 1
    excess = torch.zeros(clusters, dtype=torch.float64, device=right.device)
    excess = excess.index_add(0, place, right - share)
    variance = float((excess**2).sum()) * clusters / (clusters - 1) / n**2
    # Where all are right or all wrong nothing tells how alike pairs of a prompt are: then a prompt is a pair.
    return min(n, share * (1 - share) / variance) if variance > 0 else clusters


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of n (Wilson, 1927).

    Example:
        >>> [round(end, 3) for end in wilson(0.5, 10)]
        [0.237, 0.763]
    """
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n)) / (1 + _Z**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)
