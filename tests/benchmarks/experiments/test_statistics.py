"""Statistics of the measurements against scipy, and by their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.experiments.statistics import (
    cluster_resamples,
    correlation,
    difference_interval,
    interquartile_interval,
    percentiles,
)


def test_difference_is_paired() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(2, 20))
    theirs = stats.ttest_rel(first, second).confidence_interval()
    found = difference_interval(first, second)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    with pytest.raises(ValueError, match="first has 2 values and second 1"):
        difference_interval([1.0, 2.0], [1.0])


def test_cluster_bootstrap_covers_a_correlation() -> None:
    """Rows of a cluster are equal: resampling rows would give intervals that are too narrow."""
    generator, covered = np.random.default_rng(3), 0
    for _ in range(100):
        first = generator.normal(size=40)
        second = 0.6 * first + 0.8 * generator.normal(size=40)
        clusters = np.repeat(np.arange(40), 3)
        x, y = first[clusters], second[clusters]
        drawn = cluster_resamples(clusters, generator, 100)
        found = percentiles(correlation(x, y), [np.corrcoef(x[rows], y[rows])[0, 1] for rows in drawn])
        covered += found.low <= 0.6 <= found.high
    assert 84 <= covered <= 100


def test_resamples_hold_whole_clusters() -> None:
    clusters = ["a", "b", "a", "c"]
    for rows in cluster_resamples(clusters, np.random.default_rng(0), 20):
        assert np.count_nonzero(rows == 0) == np.count_nonzero(rows == 2)
        assert sum(clusters[row] != "a" for row in rows) + np.count_nonzero(rows == 0) == 3


@pytest.mark.parametrize("kind", ["pearson", "spearman", "tau-b", "tau-c"])
def test_correlations(kind: str) -> None:
    values = np.arange(10.0)
    assert correlation(values, values, kind) == pytest.approx(1.0)
    assert correlation(values, -values, kind) == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="kind='tau'"):
        correlation([1.0, 2.0], [1.0, 2.0], "tau")


def test_the_interquartile_mean_is_scipys_and_its_interval_covers_it() -> None:
    generator, covered = np.random.default_rng(2), 0
    for _ in range(100):
        values = generator.normal(size=20)
        found = interquartile_interval(values, generator, 200)
        assert found.value == pytest.approx(stats.trim_mean(values, 0.25))
        covered += found.low <= 0 <= found.high
    assert 84 <= covered <= 100
    assert np.isinf(interquartile_interval([0.5], generator).high)
