"""Statistics of the measurements: paired differences, resamples of clusters, correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mm_envs.statistics import LEVEL, Interval, mean_interval

CORRELATIONS = ("pearson", "spearman", "tau-b", "tau-c")


def difference_interval(
    first: ArrayLike, second: ArrayLike, clusters: Sequence[object] | None = None
) -> Interval:
    """The mean of ``first - second`` on the same items (paired), as ``mean_interval`` of the differences.

    Example:
        >>> print(difference_interval([1.0, 2.0, 4.0], [0.0, 1.0, 2.0]))
        1.333 [-0.101, 2.768]
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape:
        raise ValueError(f"first has {len(one)} values and second {len(two)}: give both the same items")
    return mean_interval(one - two, clusters)


def cluster_resamples(
    clusters: Sequence[object] | NDArray[Any], generator: np.random.Generator, resamples: int
) -> list[NDArray[np.int64]]:
    """Rows of as many clusters as there are, drawn with replacement, ``resamples`` times.

    For statistics that are computed of several scorings on the same resamples; ``percentiles`` then makes
    their intervals.

    Example:
        >>> drawn = cluster_resamples([0, 0, 1], np.random.default_rng(0), 2)
        >>> all(np.isin(rows, [0, 1, 2]).all() for rows in drawn)
        True
    """
    _, number = np.unique(np.array([str(one) for one in clusters]), return_inverse=True)
    order = np.argsort(number, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(number))[:-1])
    drawn = (generator.integers(len(members), size=len(members)) for _ in range(resamples))
    return [np.concatenate([members[i] for i in some]) for some in drawn]


def percentiles(value: float, resampled: ArrayLike) -> Interval:
    """The percentile bootstrap interval of a statistic from its values on resamples.

    Example:
        >>> print(percentiles(0.5, np.linspace(0, 1, 101)))
        0.500 [0.025, 0.975]
    """
    low, high = np.quantile(np.asarray(resampled, dtype=np.float64), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(value, float(low), float(high))


def correlation(first: ArrayLike, second: ArrayLike, kind: str = "pearson") -> float:
    """Pearson's r, Spearman's rho, Kendall's tau-b or Stuart's tau-c, by ``scipy.stats``.

    Example:
        >>> correlation([1.0, 2.0, 3.0], [1.0, 4.0, 9.0], "spearman")
        1.0
    """
    from scipy import stats

    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if kind == "pearson":
        return float(stats.pearsonr(one, two).statistic)
    if kind == "spearman":
        return float(stats.spearmanr(one, two).statistic)
    if kind in CORRELATIONS:
        return float(stats.kendalltau(one, two, variant=kind[-1]).statistic)
    raise ValueError(f"kind={kind!r} is not a correlation: use one of {', '.join(CORRELATIONS)}")


def interquartile_interval(
    values: ArrayLike, generator: np.random.Generator, resamples: int = 2000
) -> Interval:
    """The mean without the lowest and the highest quarter, with its percentile bootstrap interval.

    Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (2021, arXiv
    2108.13264): a quarter of the values, rounded down, is left out at each end. One value has no interval.

    Example:
        >>> interquartile_interval([0.0, 0.4, 0.5, 0.6, 1.0], np.random.default_rng(0)).value
        0.5
    """
    from scipy.stats import bootstrap, trim_mean

    array = np.asarray(values, dtype=np.float64)
    value = float(trim_mean(array, 0.25))
    if len(array) < 2:
        return Interval(value, -math.inf, math.inf)

    def middle(sample: NDArray[np.float64], axis: int) -> Any:
        return trim_mean(sample, 0.25, axis=axis)

    options = {"n_resamples": resamples, "method": "percentile", "confidence_level": LEVEL}
    found = bootstrap((array,), middle, random_state=generator, **options).confidence_interval
    return Interval(value, float(found.low), float(found.high))


def interquartile_text(values: ArrayLike) -> str:
    """``interquartile_interval`` as text, without the interval where there is one value.

    Example:
        >>> interquartile_text([0.5]), interquartile_text([0.5, 0.5])
        ('0.500', '0.500 [0.500, 0.500]')
    """
    found = interquartile_interval(values, np.random.default_rng(0))
    return str(found) if math.isfinite(found.low) else f"{found.value:.3f}"
