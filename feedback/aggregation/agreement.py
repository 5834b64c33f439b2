"""Agreement of annotators beyond chance."""

from __future__ import annotations

import torch
from torch import Tensor

from mm_envs.names import one_of

LEVELS = ("nominal", "ordinal", "interval")


def krippendorff_alpha(unit: Tensor, value: Tensor, level: str = "nominal") -> float:
    """Krippendorff's alpha, 1 - D_o / D_e: 1 is full agreement, 0 is chance (Krippendorff, 2011, "Computing
    Krippendorff's alpha-reliability").

    With n_uc how often unit u got value c, m_u its number of ratings and n_c the sums over units, all over
    units with at least two ratings: D_o = sum_u sum_cd n_uc n_ud d_cd / (m_u - 1), and
    D_e = sum_cd n_c n_d d_cd / (n - 1). The distance d_cd of two values is 1 for different ones (nominal),
    (c - d)^2 (interval), or the square of the number of ratings between them, ends counted half (ordinal).
    The work goes with the square of the number of different values, not of ratings.

    Args:
        unit: What was rated, (n,) int64.
        value: How, (n,), any number.
        level: "nominal", "ordinal" or "interval".

    Returns:
        Alpha, at most 1; 1 if all ratings are the same; nan if no unit has two ratings.

    Raises:
        ValueError: The tensors differ in shape, or there is no such level.

    Example:
        >>> krippendorff_alpha(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 2, 2]))
        1.0
    """
    if level not in LEVELS:
        raise ValueError(one_of("level", level, LEVELS))
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
    place = values if level == "interval" else totals.cumsum(0) - totals / 2
    return (place[:, None] - place).square()
