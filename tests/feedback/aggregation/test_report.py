"""Whom to trust: intervals that hold what they promise, and verdicts."""

from __future__ import annotations

import math

import pytest
import torch

from feedback.aggregation import Reliability, fit_reliability, trust_report
from feedback.preferences import SKIP, TIE, Pairs


def labels_by(skill: torch.Tensor, labels: int) -> tuple[torch.Tensor, Pairs]:
    """``labels`` choices of every annotator, and the differences that they saw."""
    who = torch.arange(len(skill)).repeat_interleave(labels)
    difference = 4 * torch.randn(len(who))
    says = torch.rand(len(who)) < skill[who]
    first = torch.rand(len(who)) < torch.where(says, difference, -difference).sigmoid()
    rows = torch.arange(len(who))
    return difference, Pairs(who, 2 * rows, 2 * rows + 1, (~first).long(), first)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """400 annotators: 95 % of intervals, and the binomial leaves 0.91 to 0.98 (four standard deviations)."""
    skill = 0.2 + 0.7 * torch.rand(400)
    difference, pairs = labels_by(skill, 150)
    model = fit_reliability(difference, pairs, 400)
    found = trust_report(model, difference, pairs, list(map(str, range(400))))
    inside = [one.low <= true <= one.high for one, true in zip(found.annotators, skill.tolist(), strict=True)]
    assert 0.91 < sum(inside) / 400 < 0.99
    assert all(one.low <= one.skill <= one.high for one in found.annotators)
    assert math.isnan(found.alpha)


def test_verdicts() -> None:
    difference, pairs = labels_by(torch.tensor([0.9, 0.5, 0.1]), 400)
    few_difference, few = labels_by(torch.tensor([0.7]), 6)
    who = torch.cat([pairs.annotator, few.annotator + 3])
    parts = [torch.cat([getattr(one, name) for one in (pairs, few)]) for name in list(pairs.tensors())[1:]]
    together, all_differences = Pairs(who, *parts), torch.cat([difference, few_difference])
    model = fit_reliability(all_differences, together, 4)
    found = trust_report(model, all_differences, together, ["good", "coin", "foe", "new"])
    assert [one.verdict for one in found.annotators] == ["keep", "stop asking", "inverted", "ask more"]
    assert found.named("inverted") == ("foe",)
    assert found.annotators[0].agreement > 0.7 > 0.3 > found.annotators[2].agreement


def test_ties_and_skips_are_not_counted_and_an_annotator_without_labels_is_asked_more() -> None:
    difference, pairs = labels_by(torch.tensor([0.9, 0.9]), 50)
    choice = torch.where(pairs.annotator == 1, torch.where(difference > 0, TIE, SKIP), pairs.choice)
    some = Pairs(pairs.annotator, pairs.first, pairs.second, choice, pairs.shown_first)
    found = trust_report(Reliability(2, labels=50), difference, some, ["one", "two"]).annotators
    assert (found[0].labels, found[1].labels) == (50, 0)
    assert (found[1].low, found[1].high, found[1].verdict) == (0, 1, "ask more")
    assert math.isnan(found[1].agreement)


def test_agreement_is_of_pairs_that_several_saw_in_either_order() -> None:
    rows = torch.arange(40)
    who, swapped = torch.arange(2).repeat_interleave(40), torch.arange(2).repeat_interleave(40).bool()
    first, second = torch.cat([rows, rows + 40]), torch.cat([rows + 40, rows])
    choice = torch.where(swapped, 1 - torch.cat([rows, rows]) % 2, torch.cat([rows, rows]) % 2)
    pairs = Pairs(who, first, second, choice, first >= 0)
    assert trust_report(Reliability(2, labels=80), torch.randn(80), pairs, ["one", "two"]).alpha == 1


def test_what_does_not_fit_is_refused() -> None:
    difference, pairs = labels_by(torch.tensor([0.9, 0.9]), 5)
    with pytest.raises(ValueError, match="3 names do not fit 2 annotators"):
        trust_report(Reliability(2, labels=5), difference, pairs, ["one", "two", "three"])
    with pytest.raises(ValueError, match=r"worth=0\.5 is not between 0.5 and 1"):
        trust_report(Reliability(2, labels=5), difference, pairs, ["one", "two"], worth=0.5)
