"""Medians and bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics import mean_interval, median_ratio_interval, spread

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=30))
def test_spread_is_ordered_and_ignores_order(values: list[float]) -> None:
    found = spread(values)
    assert found.lower <= found.median <= found.upper
    assert found == spread(sorted(values))
    assert found.count == len(values)


def test_mean_interval_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        interval = mean_interval(generator.normal(3.0, 2.0, 60), generator, resamples=300)
        covered += interval.low <= 3.0 <= interval.high
    # 95 % of 300 is 285, four standard deviations are 15, and 60 values undercover a little.
    assert 262 <= covered <= 300


def test_mean_interval_has_the_width_of_the_normal_approximation() -> None:
    generator = np.random.default_rng(2)
    values = generator.normal(size=2000)
    interval = mean_interval(values, generator, level=0.9)
    assert interval.value == pytest.approx(values.mean())
    expected = 2 * 1.645 * values.std() / np.sqrt(len(values))
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


def test_many_values_are_resampled_one_by_one_to_the_same_effect() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(size=20_000)
    interval = mean_interval(values, generator, resamples=600)
    expected = 2 * 1.96 * values.std() / np.sqrt(len(values))
    assert interval.high - interval.low == pytest.approx(expected, rel=0.15)


def test_ratio_of_medians_scales_with_its_sides() -> None:
    generator = np.random.default_rng(4)
    above, below = generator.uniform(6, 7, 9), generator.uniform(1, 2, 9)
    one = median_ratio_interval(above, below, np.random.default_rng(5))
    ten = median_ratio_interval(10 * above, below, np.random.default_rng(5))
    assert one.value == pytest.approx(np.median(above) / np.median(below))
    assert one.low <= one.value <= one.high
    assert (ten.value, ten.low, ten.high) == pytest.approx((10 * one.value, 10 * one.low, 10 * one.high))


def test_the_same_generator_gives_the_same_interval() -> None:
    first, second = (mean_interval([1.0, 2.0, 4.0], np.random.default_rng(6)) for _ in range(2))
    assert first == second


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="level=95"):
        mean_interval([1.0, 2.0], np.random.default_rng(0), level=95)
    with pytest.raises(ValueError, match="at least one value"):
        spread([])
