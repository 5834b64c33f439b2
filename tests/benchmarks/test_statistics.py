"""Medians and bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics import median_ratio_interval, spread

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=30))
def test_spread_is_ordered_and_ignores_order(values: list[float]) -> None:
    found = spread(values)
    assert found.lower <= found.median <= found.upper
    assert found == spread(sorted(values))
    assert found.count == len(values)


def test_the_ratio_is_covered_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        above, below = generator.normal(6.0, 1.0, 60), generator.normal(3.0, 0.5, 60)
        interval = median_ratio_interval(above, below, generator, resamples=300)
        covered += interval.low <= 2.0 <= interval.high
    # 95 % of 300 is 285; four standard deviations are 15, and 60 values undercover a little.
    assert 262 <= covered <= 300


def test_ratio_of_medians_scales_with_its_sides() -> None:
    generator = np.random.default_rng(4)
    above, below = generator.uniform(6, 7, 9), generator.uniform(1, 2, 9)
    one = median_ratio_interval(above, below, np.random.default_rng(5))
    ten = median_ratio_interval(10 * above, below, np.random.default_rng(5))
    assert one.value == pytest.approx(np.median(above) / np.median(below))
    assert one.low <= one.value <= one.high
    assert (ten.value, ten.low, ten.high) == pytest.approx((10 * one.value, 10 * one.low, 10 * one.high))


def test_the_same_generator_gives_the_same_interval() -> None:
    sides = [6.0, 7.0, 9.0], [1.0, 2.0, 4.0]
    first, second = (median_ratio_interval(*sides, np.random.default_rng(6)) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="level=95"):
        median_ratio_interval([1.0, 2.0], [1.0], np.random.default_rng(0), level=95)
    with pytest.raises(ValueError, match="at least one value"):
        spread([])
