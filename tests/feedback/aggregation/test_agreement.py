"""Krippendorff's alpha against the published package."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
import torch

from feedback.aggregation import krippendorff_alpha


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_published_package(level: str, seed: int) -> None:
    r = np.random.default_rng(seed)
    true = r.integers(1, 6, size=40)
    ratings = np.clip(true + r.integers(-1, 2, size=(6, 40)), 1, 5).astype(float)
    # Some units keep one rating, or none.
    ratings[r.random(ratings.shape) < 0.6] = np.nan
    annotator, unit = np.where(~np.isnan(ratings))
    found = krippendorff_alpha(torch.tensor(unit), torch.tensor(ratings[annotator, unit]), level)
    assert found == pytest.approx(krippendorff.alpha(ratings, level_of_measurement=level), abs=1e-9)


def test_values_may_be_any_numbers() -> None:
    unit, value = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([-1.5, -1.5, 0.25, 0.5, 3.0, 3.0])
    reliability = np.array([[-1.5, 0.25, 3.0], [-1.5, 0.5, 3.0]])
    for level in ("nominal", "ordinal", "interval"):
        expected = krippendorff.alpha(reliability, level_of_measurement=level)
        assert krippendorff_alpha(unit, value, level) == pytest.approx(expected, abs=1e-9)


def test_chance_is_zero() -> None:
    """With 20,000 coins alpha is within 0.03 of 0, which is four standard deviations."""
    unit = torch.arange(10_000).repeat(2)
    assert abs(krippendorff_alpha(unit, torch.randint(2, (20_000,)))) < 0.04


def test_the_ends() -> None:
    unit = torch.tensor([0, 0, 1, 1])
    assert krippendorff_alpha(unit, torch.ones(4)) == 1
    assert np.isnan(krippendorff_alpha(torch.arange(4), torch.ones(4)))
    with pytest.raises(ValueError, match="level='ratio' is not one of nominal, ordinal, interval"):
        krippendorff_alpha(unit, unit, "ratio")
    with pytest.raises(ValueError, match="give one of each a rating"):
        krippendorff_alpha(unit, unit[:3])
