"""Confidence intervals of means, shares and ratios of medians; items may be alike in clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values: TypeAlias = "NDArray[np.float64]"

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; the ends are infinite where there is one value or cluster.

    Example:
        >>> print(Interval(0.5, 0.25, 0.75))
        0.500 [0.250, 0.750]
    """

    value: float
    low: float
    high: float
    level: float = LEVEL

    def __str__(self) -> str:
        return self.format()

    def format(self, form: str = ".3f", scale: float = 1.0) -> str:
        """The estimate and both ends, each multiplied by ``scale`` and formatted by ``form``."""
        value, low, high = (f"{scale * number:{form}}" for number in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles and the number of values."""

    median: float
    lower: float
    upper: float
    count: int


def spread(values: ArrayLike) -> Spread:
    """Median and quartiles of at least one value."""
    array = _array("values", values)
    lower, median, upper = np.quantile(array, (0.25, 0.5, 0.75))
    return Spread(float(median), float(lower), float(upper), len(array))


def mean_interval(
    values: ArrayLike, clusters: Sequence[object] | None = None, level: float = LEVEL
) -> Interval:
    """A mean (n,) with Student's t interval; items of one cluster (recording, photo) may be alike.

    The variance is that of the summed deviations of whole clusters (Liang and Zeger, "Longitudinal data
    analysis using generalized linear models", Biometrika 73, 1986), with one degree of freedom less than
    there are clusters. Without ``clusters`` it is the usual interval.

    Raises:
        ValueError: There is no value, or ``level`` is not between 0 and 1.

    Example:
        >>> print(mean_interval([0.0, 1.0, 1.0, 1.0]))
        0.750 [-0.046, 1.546]
        >>> print(mean_interval([0.0, 1.0, 1.0, 1.0], clusters=[1, 2, 3, 3]))
        0.750 [-0.482, 1.982]
    """
    from scipy.special import stdtrit

    array = _array("values", values)
    upper = (1 + _level(level)) / 2
    center = float(array.mean())
    variance, groups = _variance_of_mean(array, clusters)
    if groups < 2:
        return Interval(center, -math.inf, math.inf, level)
    half = float(stdtrit(groups - 1, upper)) * math.sqrt(variance)
    return Interval(center, center - half, center + half, level)


def wilson_interval(share: float, n: float, level: float = LEVEL) -> Interval:
    """A share, 0 to 1, of ``n`` independent trials with the interval of Wilson (JASA 22, 1927).

    ``scipy.stats.binomtest`` gives the same ends, but takes no fractions, which effective numbers are.

    Example:
        >>> print(wilson_interval(0.5, 10))
        0.500 [0.237, 0.763]
    """
    from scipy.special import ndtri

    if not (0 <= share <= 1 and n > 0):
        raise ValueError(f"share={share} of n={n} is not a share: give 0 to 1 and at least one trial")
    z = float(ndtri((1 + _level(level)) / 2))
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n * n)) / (1 + z**2 / n)
    return Interval(share, max(0.0, center - half), min(1.0, center + half), level)


def share_interval(
    outcomes: ArrayLike, clusters: Sequence[object] | None = None, level: float = LEVEL
) -> Interval:
    """The mean of outcomes in [0, 1] with Wilson's interval for their effective number.

    Outcomes of one cluster may be alike: the effective number is ``share * (1 - share)`` over the
    cluster-robust variance of the mean, at most ``n``; where all outcomes are equal it is the number of
    clusters.

    Example:
        >>> print(share_interval([1, 1, 0, 0], clusters=[1, 1, 2, 2]))
        0.500 [0.055, 0.945]
    """
    array = _array("outcomes", outcomes)
    share, n = float(array.mean()), float(len(array))
    if clusters is not None:
        variance, groups = _variance_of_mean(array, clusters)
        n = min(n, share * (1 - share) / variance) if variance > 0 else float(groups)
    return wilson_interval(share, n, level)


def ratio_of_medians(
    above: ArrayLike, below: ArrayLike, generator: np.random.Generator, resamples: int = 2000
) -> Interval:
    """The median of one sample over that of another, with its percentile bootstrap interval.

    The samples, of at least two values each, are resampled independently (Efron and Tibshirani, 1993).

    Example:
        >>> ratio_of_medians([6.0, 6.0], [2.0, 2.0], np.random.default_rng(0)).value
        3.0
    """
    from scipy.stats import bootstrap

    def ratio(one: Values, other: Values, axis: int) -> Any:
        return np.median(one, axis=axis) / np.median(other, axis=axis)

    sides = _array("above", above), _array("below", below)
    options = {"n_resamples": resamples, "method": "percentile", "confidence_level": LEVEL}
    found = bootstrap(sides, ratio, random_state=generator, **options).confidence_interval
    return Interval(float(ratio(*sides, axis=-1)), float(found.low), float(found.high))


def _variance_of_mean(array: Values, clusters: Sequence[object] | None) -> tuple[float, int]:
    """The variance of the mean, and the number of clusters; 0 where there is one cluster."""
    excess = array - array.mean()
    if clusters is not None:
        _, number = np.unique(np.array([str(one) for one in clusters]), return_inverse=True)
        excess = np.bincount(number, weights=excess)
    groups = len(excess)
    if groups < 2:
        return 0.0, groups
    return float(np.sum(np.square(excess))) * groups / (groups - 1) / len(array) ** 2, groups


def _array(name: str, values: ArrayLike) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} has shape {array.shape}: give at least one value in one dimension")
    return array


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level={level} is not between 0 and 1: 0.95 is usual")
    return level
