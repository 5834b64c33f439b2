"""How often the better of two answers gets the higher score."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mm_envs.statistics import share_interval


@dataclass(frozen=True)
class PairAccuracy:
    """The share of pairs in which the answer of higher utility gets the higher score.

    Attributes:
        accuracy: The share, in [0, 1], over the pairs whose utilities differ; equal scores count one half.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tie_rate: The share of all pairs whose utilities are exactly equal, which are left out.
        n: How many pairs are left.
        sampler: Where the answers come from, as ``Sampler.name``; not empty.
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
    """How often scores agree with the truth about which of two answers is better.

    The interval is ``mm_envs.statistics.share_interval``, with one cluster a prompt.

    Args:
        scores_first: The scores of the first answers, (n,).
        scores_second: Of the second ones.
        utility_first: Their true utility, (n,).
        utility_second: That of the second ones.
        sampler: Where the answers come from, as ``Sampler.name``.
        prompt: Which prompt each pair belongs to, (n,) int64; None for one pair a prompt.

    Raises:
        ValueError: A score or utility is NaN, or all pairs are ties.

    Example:
        >>> import torch
        >>> one, two = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 5.0, 1.0])
        >>> truth = torch.tensor([0.9, 0.5, 0.7]), torch.tensor([0.1, 0.5, 0.8])
        >>> print(pair_accuracy(one, two, *truth, sampler="by hand"))
        0.500 [0.095, 0.905] of 2 pairs, ties 33.3% left out, by hand
    """
    for name, one in (("score", scores_first - scores_second), ("utility", utility_first - utility_second)):
        if bool(one.isnan().any()):
            raise ValueError(f"{int(one.isnan().sum())} of {len(one)} pairs have a {name} that is NaN")
    differ = utility_first != utility_second
    n, pairs = int(differ.sum()), len(differ)
    if n == 0:
        raise ValueError(f"all {pairs} pairs of sampler={sampler!r} are exact ties: draw other answers")
    agrees = (scores_first - scores_second).sign() * (utility_first - utility_second).sign()
    right = (agrees[differ].double() + 1) / 2
    found = share_interval(right.cpu().numpy(), None if prompt is None else prompt[differ].tolist())
    return PairAccuracy(found.value, found.low, found.high, 1 - n / pairs, n, sampler)
