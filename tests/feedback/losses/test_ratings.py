"""Ratings on an ordered scale and approvals."""

from __future__ import annotations

import torch

from feedback.losses import approval, bradley_terry, cumulative_logits, ordered_cuts


def test_the_chances_of_all_levels_add_up_to_one() -> None:
    scores, cuts = torch.randn(9, dtype=torch.float64), torch.tensor([-1.0, 0.2, 0.3, 2.0]).double()
    chances = [torch.exp(-cumulative_logits(scores, torch.full((9,), level), cuts)) for level in range(5)]
    torch.testing.assert_close(sum(chances), torch.ones(9, dtype=torch.float64))


def test_a_level_is_the_difference_of_two_cumulative_chances() -> None:
    scores, cuts = torch.randn(9, dtype=torch.float64), torch.tensor([-1.0, 0.2, 0.3]).double()
    expected = (cuts[2] - scores).sigmoid() - (cuts[1] - scores).sigmoid()
    found = torch.exp(-cumulative_logits(scores, torch.full((9,), 2), cuts))
    torch.testing.assert_close(found, expected)


def test_far_scores_and_near_cuts_are_finite() -> None:
    scores = torch.tensor([-1e4, 0.0, 1e4]).repeat(4).requires_grad_()
    cuts = torch.tensor([-1.0, 0.0, 1e-4], requires_grad=True)
    loss = cumulative_logits(scores, torch.arange(4).repeat_interleave(3), cuts)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(scores.grad).all()  # type: ignore[arg-type]
    assert torch.isfinite(cuts.grad).all()  # type: ignore[arg-type]


def test_a_scale_of_two_levels_is_an_approval() -> None:
    scores, approved = torch.randn(20), torch.rand(20) > 0.5
    cut = torch.tensor([0.3])
    found = cumulative_logits(scores, approved.long(), cut)
    torch.testing.assert_close(found, approval(scores, approved, 0.3))
    torch.testing.assert_close(found, bradley_terry(scores - 0.3, approved.float()))


def test_cuts_ascend_and_may_differ_by_label() -> None:
    cuts = ordered_cuts(torch.tensor(0.5), torch.randn(6))
    assert (cuts.diff() > 0).all()
    scores, level = torch.randn(4), torch.tensor([0, 3, 6, 7])
    one_by_one = [cumulative_logits(scores[i : i + 1], level[i : i + 1], cuts + i) for i in range(4)]
    together = cumulative_logits(scores, level, cuts + torch.arange(4)[:, None])
    torch.testing.assert_close(together, torch.cat(one_by_one))
