"""Intervals of means over items that are not independent of each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.evaluate import Estimate


def clustered(values: NDArray[np.float64], clusters: Sequence[object]) -> Estimate:
    """A mean with its 95 % interval where items of one cluster (recording, photo) are alike.

    The variance is that of the sums of the deviations of whole clusters (Liang and Zeger, "Longitudinal data
    analysis using generalized linear models", Biometrika 73, 1986), with Student's t of one degree of freedom
    less than there are clusters. With one item in each cluster it is the usual interval.

    Args:
        values: One an item, (n,) float64.
        clusters: The cluster of each item.

    Example:
        >>> values = np.array([0.0, 1.0, 1.0, 1.0])
        >>> clustered(values, [1, 2, 3, 4]) == Estimate.of(values)
        True
        >>> round(clustered(values, [1, 2, 3, 3]).low, 3)
        -0.482
    """
    from scipy.special import stdtrit

    n, mean = len(values), float(np.mean(values))
    _, number = np.unique(np.array([str(one) for one in clusters]), return_inverse=True)
    sums = np.bincount(number, weights=values - mean)
    several = len(sums)
    if several < 2:
        return Estimate(mean, -np.inf, np.inf)
    deviation = float(np.sqrt(np.sum(np.square(sums)) * several / (several - 1))) / n
    half = float(stdtrit(several - 1, 0.975)) * deviation
    return Estimate(mean, mean - half, mean + half)
