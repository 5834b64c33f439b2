"""Medians, spreads and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = "Sequence[float] | NDArray[np.floating]"


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles.

    Attributes:
        median: Half of the values lie below.
        lower: A quarter of the values lies below.
        upper: Three quarters of the values lie below.
        count: How many values there were.
    """

    median: float
    lower: float
    upper: float
    count: int


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float
    level: float = 0.95


def spread(values: Numbers) -> Spread:
    """Median and quartiles.

    Raises:
        ValueError: There are no values.

    Example:
        >>> spread([1.0, 2.0, 3.0, 4.0, 5.0])
        Spread(median=3.0, lower=2.0, upper=4.0, count=5)
    """
    array = _array("values", values)
    lower, median, upper = np.quantile(array, (0.25, 0.5, 0.75))
    return Spread(float(median), float(lower), float(upper), len(array))


def median_ratio_interval(
    above: Numbers,
    below: Numbers,
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The median of some values over the median of others, with its percentile bootstrap interval.

    Both sides are resampled independently of each other (Efron and Tibshirani, 1993, chapter 13).

    Args:
        above: The values of the numerator.
        below: The values of the denominator; their median must not be 0.
        generator: Where the resamples are drawn from.
        level: The confidence level.
        resamples: How many bootstrap resamples.

    Raises:
        ValueError: A side has no values, or ``level`` is not between 0 and 1.

    Example:
        >>> median_ratio_interval([6.0, 6.0], [2.0, 2.0], np.random.default_rng(0)).value
        3.0
    """
    upper, lower = _array("above", above), _array("below", below)
    tops, bottoms = (
        np.median(generator.choice(side, (resamples, len(side))), axis=1) for side in (upper, lower)
    )
    ratios: NDArray[np.float64] = tops / bottoms
    return _percentile(float(np.median(upper) / np.median(lower)), ratios, level)


def _array(name: str, values: Numbers) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} has shape {array.shape}: give at least one value in one dimension")
    return array


def _percentile(value: float, resampled: NDArray[np.float64], level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level={level} is not between 0 and 1: 0.95 is customary")
    low, high = np.quantile(resampled, ((1 - level) / 2, (1 + level) / 2))
    return Interval(value, float(low), float(high), level)
