"""Intervals against closed forms, SciPy, and how often they cover the truth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mm_envs.statistics import (
    Interval,
    mean_interval,
    ratio_of_medians,
    share_interval,
    spread,
    wilson_interval,
)

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
REPEATS = 300
# 95 % of 300 is 285; four standard deviations are 15, and small samples cover a little less.
COVERED = range(262, 301)


@given(st.lists(FINITE, min_size=1, max_size=30))
def test_spread_is_ordered_and_ignores_order(values: list[float]) -> None:
    found = spread(values)
    assert found.lower <= found.median <= found.upper
    assert found == spread(sorted(values))
    assert found.count == len(values)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_mean_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    found = mean_interval(values, level=0.9)
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert mean_interval(values, clusters=range(n), level=0.9) == found


def test_one_value_or_cluster_determines_no_interval() -> None:
    assert mean_interval([0.5]) == Interval(0.5, -math.inf, math.inf)
    assert mean_interval([0.5, 0.7], clusters=["a", "a"]).high == math.inf


def test_clusters_of_equal_items_count_once() -> None:
    means = np.random.default_rng(0).normal(size=12)
    repeated = mean_interval(np.repeat(means, 5), clusters=list(np.repeat(np.arange(12), 5)))
    once = mean_interval(means)
    assert (repeated.value, repeated.low, repeated.high) == pytest.approx((once.value, once.low, once.high))


@given(st.integers(1, 200), st.data())
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, n))
    theirs = stats.binomtest(count, n).proportion_ci(0.95, "wilson")
    for found in (wilson_interval(count / n, n), share_interval([1.0] * count + [0.0] * (n - count))):
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_share_of_alike_outcomes_counts_clusters() -> None:
    one, repeated = share_interval([1, 0, 0, 1, 1]), np.repeat([1, 0, 0, 1, 1], 4)
    found = share_interval(repeated, clusters=list(np.repeat(np.arange(5), 4)))
    assert found.high - found.low > share_interval(repeated).high - share_interval(repeated).low
    # The variance of a mean divides by n - 1 clusters, that of a share by n.
    assert found.high - found.low == pytest.approx(one.high - one.low, rel=0.15)
    assert share_interval([1, 1, 1], clusters=[1, 1, 2]) == wilson_interval(1.0, 2)
    assert share_interval([1, 0, 1], clusters=[1, 1, 1]) == wilson_interval(2 / 3, 1)


@pytest.mark.parametrize(
    ("truth", "interval"),
    [
        (3.0, lambda g: mean_interval(g.normal(3.0, 1.0, 12))),
        (3.0, lambda g: mean_interval(np.repeat(g.normal(3.0, 1.0, 15), 4), list(np.repeat(range(15), 4)))),
        (0.7, lambda g: share_interval(g.random(40) < 0.7)),
        (2.0, lambda g: ratio_of_medians(g.normal(6.0, 1.0, 60), g.normal(3.0, 0.5, 60), g, 300)),
    ],
    ids=["mean", "clustered mean", "share", "ratio of medians"],
)
def test_coverage(truth: float, interval: Callable[[np.random.Generator], Interval]) -> None:
    generator = np.random.default_rng(2)
    several = [interval(generator) for _ in range(REPEATS)]
    assert sum(one.low <= truth <= one.high for one in several) in COVERED


def test_the_same_generator_gives_the_same_interval() -> None:
    sides = [6.0, 7.0, 9.0], [1.0, 2.0, 4.0]
    first, second = (ratio_of_medians(*sides, np.random.default_rng(6)) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="level=95"):
        mean_interval([1.0, 2.0], level=95)
    with pytest.raises(ValueError, match="at least one value"):
        spread([])
    with pytest.raises(ValueError, match="n=0"):
        wilson_interval(0.5, 0)
