"""Calibration against closed forms, scikit-learn and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor

from feedback.calibration import (
    brier,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability_curve,
)

N = 20_000


def drawn(temperature: float = 1.0, n: int = N, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Differences of scores, and choices that follow them at a temperature."""
    draws = torch.Generator().manual_seed(seed)
    difference = 2 * torch.randn(n, generator=draws)
    return difference, (torch.rand(n, generator=draws) < torch.sigmoid(difference / temperature)).float()


def test_probabilities_that_are_right_have_no_error_but_that_of_chance() -> None:
    difference, target = drawn()
    # 10 bins of 2,000 pairs: each is off by at most sqrt(0.25 / 2000) = 0.011 on average.
    assert expected_calibration_error(torch.sigmoid(difference), target) < 0.02
    assert expected_calibration_error(torch.sigmoid(3 * difference), target) > 0.1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 20), st.integers(0, 9))
def test_swapping_the_answers_of_a_pair_changes_nothing(n: int, bins: int, seed: int) -> None:
    difference, target = drawn(n=n, seed=seed)
    # Answers that are held equally likely are among them.
    p = torch.sigmoid(difference).double().where(difference.abs() > 0.5, 0.5)
    swap = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5
    q, swapped = torch.where(swap, 1 - p, p), torch.where(swap, 1 - target, target)
    for measure in (brier, negative_log_likelihood, lambda a, b: expected_calibration_error(a, b, bins)):
        assert measure(p, target) == pytest.approx(measure(q, swapped), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.integers(1, 30))
def test_bins_hold_equally_many_pairs(n: int, bins: int) -> None:
    difference, target = drawn(n=n)
    curve = reliability_curve(torch.sigmoid(difference), target, bins)
    assert int(curve.count.sum()) == n
    assert int(curve.count.max() - curve.count.min()) <= 1
    assert bool((curve.confidence.diff() >= 0).all())
    right = (torch.sigmoid(difference) >= 0.5) == (target == 1)
    mean = (curve.accuracy * curve.count).sum() / n
    assert float(mean) == pytest.approx(float(right.double().mean()), abs=1e-9)


def test_brier_and_likelihood_agree_with_scikit_learn() -> None:
    difference, target = drawn(n=500)
    p = torch.sigmoid(difference).double()
    assert brier(p, target) == pytest.approx(brier_score_loss(target.numpy(), p.numpy()))
    assert negative_log_likelihood(p, target) == pytest.approx(log_loss(target.numpy(), p.numpy()))


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    difference, target = drawn(temperature)
    found = fit_temperature(difference, target)
    # The standard error is below 4 % at this size.
    assert found == pytest.approx(temperature, rel=0.15)
    best = negative_log_likelihood(torch.sigmoid(difference.double() / found), target)
    for other in (0.9 * found, 1.1 * found):
        assert best < negative_log_likelihood(torch.sigmoid(difference.double() / other), target)


def test_a_temperature_stays_in_its_range() -> None:
    difference = torch.tensor([1.0, -2.0])
    assert fit_temperature(difference, torch.tensor([1.0, 0.0])) == pytest.approx(1e-3, rel=1e-3)
    assert fit_temperature(difference, torch.tensor([0.0, 1.0])) == pytest.approx(1e3, rel=1e-3)
    assert fit_temperature(difference, torch.tensor([0.5, 0.5])) == pytest.approx(1e3, rel=1e-3)


def test_a_certain_error_costs_much_but_not_everything() -> None:
    assert np.isfinite(negative_log_likelihood(torch.tensor([1.0]), torch.tensor([0.0])))
    assert negative_log_likelihood(torch.tensor([1.0]), torch.tensor([0.0])) > 20


@pytest.mark.parametrize("bins", [0, -1])
def test_no_bins_and_no_pairs_are_refused(bins: int) -> None:
    with pytest.raises(ValueError, match=f"bins={bins} is below 1"):
        reliability_curve(torch.tensor([0.5]), torch.tensor([1.0]), bins)
    with pytest.raises(ValueError, match="calibration needs pairs"):
        reliability_curve(torch.zeros(0), torch.zeros(0))
