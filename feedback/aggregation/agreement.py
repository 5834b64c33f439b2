"""Agreement of annotators beyond chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from feedback.aggregation.votes import Votes, majority
from feedback.preferences.records import Pairwise
from mm_envs.names import check_one_of

_VALUES = {"first": 0, "second": 1, "tie": 2}
LEVELS = ("nominal", "ordinal", "interval")


def krippendorff_alpha(unit: Tensor, value: Tensor, level: str = "nominal") -> float:
    """Krippendorff's alpha, 1 - D_o / D_e: 1 is full agreement, 0 is chance (Krippendorff, 2011).

    With n_uc how often unit u got value c, m_u its number of ratings and n_c the sums over units, all over
    units with at least two ratings: D_o = sum_u sum_cd n_uc n_ud d_cd / (m_u - 1), and
    D_e = sum_cd n_c n_d d_cd / (n - 1). The distance d_cd of two values is 1 for different ones (nominal),
    (c - d)^2 (interval), or the square of the number of ratings between them, ends counted half (ordinal).

    Args:
        unit: What was rated, (n,) int64.
        value: The rating, (n,), any number.
        level: "nominal", "ordinal" or "interval".

    Returns:
        Alpha; 1 if all ratings are the same; nan if no unit has two ratings.

    Example:
        >>> krippendorff_alpha(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 2, 2]))
        1.0
    """
    check_one_of("level", level, LEVELS)
    if unit.shape != value.shape or unit.ndim != 1:
        shapes = f"{tuple(unit.shape)} and {tuple(value.shape)}"
        raise ValueError(f"unit and value have shapes {shapes}: give one of each a rating, in (n,)")
    values, column = torch.unique(value, return_inverse=True)
    units, row = torch.unique(unit, return_inverse=True)
    counts = torch.zeros(len(units), len(values), dtype=torch.float64)
    counts.index_put_((row, column), torch.ones(len(unit), dtype=torch.float64), accumulate=True)
    counts = counts[counts.sum(1) >= 2]
    if not len(counts):
        return float("nan")
    totals, sizes = counts.sum(0), counts.sum(1)
    distance = _distance(values.double(), totals, level)
    observed = float(((counts @ distance) * counts).sum(1).div(sizes - 1).sum())
    expected = float(totals @ distance @ totals) / (float(totals.sum()) - 1)
    return 1 - observed / expected if expected else 1.0


def _distance(values: Tensor, totals: Tensor, level: str) -> Tensor:
    """The squared distance of every two values, (v, v); their diagonal is 0."""
    if level == "nominal":
        return 1 - torch.eye(len(values), dtype=torch.float64)
    # Ratings below a value, and half of those with it: the distance of two is what lies between them.
    position = values if level == "interval" else totals.cumsum(0) - totals / 2
    return (position[:, None] - position).square()


@dataclass(frozen=True)
class Agreement:
    """The agreement of annotators on pairs that several of them judged.

    Attributes:
        shared: How many pairs have at least two votes; the other values are nan without any.
        alpha: Krippendorff's alpha over first, second and tie.
        majority: The share of the votes on shared pairs that are those of the majority.
        tied: The share of the shared pairs without a majority.
    """

    shared: int = 0
    alpha: float = math.nan
    majority: float = math.nan
    tied: float = math.nan


def votes_of(pairs: Sequence[Pairwise], annotators: Sequence[str]) -> Votes:
    """The votes of comparisons that were not skipped: first, second or tie (0, 1, 2) on each query."""
    queries: dict[str, int] = {}
    rows = [
        (queries.setdefault(one.query, len(queries)), annotators.index(one.annotator), _VALUES[one.choice])
        for one in pairs
    ]
    item, annotator, label = torch.tensor(rows, dtype=torch.int64).view(-1, 3).unbind(1)
    return Votes(item, annotator, label, len(queries), len(annotators), len(_VALUES))


def agreement_of(pairs: Sequence[Pairwise]) -> Agreement:
    """The agreement of comparisons that were not skipped."""
    votes = votes_of(pairs, sorted({one.annotator for one in pairs}))
    counts = votes.counts()
    shared = counts.sum(1) >= 2
    if not bool(shared.any()):
        return Agreement()
    most = majority(votes)
    with_it = float(counts.amax(1)[shared].sum() / counts.sum(1)[shared].sum())
    tied = float(most.tied[shared].double().mean())
    return Agreement(int(shared.sum()), krippendorff_alpha(votes.item, votes.label), with_it, tied)
