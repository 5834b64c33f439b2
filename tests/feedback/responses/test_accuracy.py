"""Accuracy on pairs: ties left out, intervals that hold what they promise."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from feedback.responses import PairAccuracy, pair_accuracy


def test_ties_of_utility_are_left_out_and_equal_scores_count_one_half() -> None:
    utility = torch.tensor([0.1, 0.5, 0.5, 0.9, 0.3]), torch.tensor([0.2, 0.5, 0.4, 0.1, 0.3])
    scores = torch.tensor([0.0, 9.0, 1.0, 2.0, 0.0]), torch.tensor([5.0, 0.0, 1.0, 3.0, 0.0])
    found = pair_accuracy(*scores, *utility, sampler="by hand")
    assert (found.accuracy, found.n, found.tie_rate) == (0.5, 3, pytest.approx(0.4))
    swapped = pair_accuracy(*reversed(scores), *reversed(utility), sampler="by hand")
    assert swapped == found
    assert "ties 40.0% left out, by hand" in str(found)


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 10), (90, 100), (50, 50)])
def test_without_prompts_the_interval_is_wilsons(right: int, n: int) -> None:
    scores = (torch.arange(n) < right).float()
    found = pair_accuracy(scores, 0.5 * torch.ones(n), torch.ones(n), torch.zeros(n), sampler="x")
    theirs = binomtest(right, n).proportion_ci(0.95, "wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_copies_of_a_pair_tell_nothing_new() -> None:
    scores = (torch.arange(300) % 3 > 0).float()
    zeros, ones = torch.zeros(300), torch.ones(300)
    once = pair_accuracy(scores, zeros + 0.5, ones, zeros, sampler="x", prompt=torch.arange(300))
    many = pair_accuracy(
        *(values.repeat(8) for values in (scores, zeros + 0.5, ones, zeros)),
        sampler="x",
        prompt=torch.arange(300).repeat(8),
    )
    assert many.n == 8 * once.n
    assert (many.low, many.high) == pytest.approx((once.low, once.high), abs=1e-3)
    blind = pair_accuracy(*(v.repeat(8) for v in (scores, zeros + 0.5, ones, zeros)), sampler="x")
    assert blind.high - blind.low < 0.5 * (many.high - many.low)


def test_intervals_over_prompts_cover_the_truth() -> None:
    """400 draws: at a coverage of 95 % fewer than 362 hits happen less than once in 10,000 times."""
    generator, hits = torch.Generator().manual_seed(0), 0
    prompt = torch.arange(60).repeat_interleave(6)
    for _ in range(400):
        easy = torch.rand(60, generator=generator)  # the chance to be right differs by prompt; 0.5 in all
        right = (torch.rand(360, generator=generator) < easy[prompt]).float()
        found = pair_accuracy(right, right * 0 + 0.5, right * 0 + 1, right * 0, sampler="x", prompt=prompt)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 362


def test_an_accuracy_without_a_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match="sampler=' ' is empty: say where the answers come from"):
        PairAccuracy(0.5, 0.4, 0.6, 0.0, 10, " ")
    with pytest.raises(ValueError, match="sampler=''"):
        pair_accuracy(torch.ones(1), torch.zeros(1), torch.ones(1), torch.zeros(1), sampler="")


def test_ties_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="all 3 pairs of sampler='x' are exact ties"):
        pair_accuracy(torch.ones(3), torch.zeros(3), torch.ones(3), torch.ones(3), sampler="x")


def test_a_score_that_is_no_number_is_refused_not_counted_as_half_right() -> None:
    one, two = torch.tensor([1.0, float("nan")]), torch.zeros(2)
    with pytest.raises(ValueError, match="1 of 2 pairs have a score that is NaN"):
        pair_accuracy(one, two, torch.ones(2), two, "by hand")
    with pytest.raises(ValueError, match="1 of 2 pairs have a utility that is NaN"):
        pair_accuracy(torch.ones(2), two, one, two, "by hand")
