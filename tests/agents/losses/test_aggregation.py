"""Aggregation of losses of parts: the formulas of public trainers, masks, batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agents.losses import AGGREGATIONS, Aggregation, aggregate

VALUES = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
MASK = torch.arange(5) < torch.tensor([5, 4, 3, 2, 1, 0, 5, 2])[:, None]


def trl(how: Aggregation, loss: Tensor, mask: Tensor, longest: int) -> Tensor:
    """``grpo_trainer.py``: loss types grpo, bnpo and dr_grpo; ``rloo_trainer.py`` for the sum."""
    if how == "sequence_mean":
        return ((loss * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()
    if how == "token_mean":
        return (loss * mask).sum() / mask.sum().clamp(min=1.0)
    if how == "max_length":
        return (loss * mask).sum() / (loss.size(0) * longest)
    return (loss * mask).sum(1).mean()


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_formulas_of_trl(how: Aggregation) -> None:
    torch.testing.assert_close(aggregate(VALUES, MASK, how, 7), trl(how, VALUES, MASK.float(), 7))


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_padding_never_matters(how: Aggregation) -> None:
    """Neither what it holds, be it NaN, nor how much there is; the gradient there is 0."""
    expected = aggregate(VALUES, MASK, how, 5)
    padded = torch.where(MASK, VALUES, float("nan")).requires_grad_()
    found = aggregate(padded, MASK, how, 5)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, padded)
    assert not gradient[~MASK].any()
    wide = torch.nn.functional.pad(VALUES, (0, 3), value=9.0), torch.nn.functional.pad(MASK, (0, 3))
    torch.testing.assert_close(aggregate(*wide, how, 5), expected)


@pytest.mark.parametrize("how", [how for how in AGGREGATIONS if how != "token_mean"])
def test_a_batch_of_eight_is_eight_batches_of_one(how: Aggregation) -> None:
    alone = torch.stack([aggregate(VALUES[i : i + 1], MASK[i : i + 1], how) for i in range(8)])
    torch.testing.assert_close(aggregate(VALUES, MASK, how), alone.mean())


def test_the_token_mean_depends_on_the_lengths_of_others() -> None:
    alone = torch.stack([aggregate(VALUES[i : i + 1], MASK[i : i + 1], "token_mean") for i in range(8)])
    assert abs(alone.mean() - aggregate(VALUES, MASK, "token_mean")) > 0.01


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_answers_may_be_in_groups_and_without_a_mask(how: Aggregation) -> None:
    grouped = aggregate(VALUES.view(2, 4, 5), MASK.view(2, 4, 5), how)
    torch.testing.assert_close(grouped, aggregate(VALUES, MASK, how))
    torch.testing.assert_close(aggregate(VALUES, None, how), aggregate(VALUES, torch.ones(8, 5).bool(), how))
    assert aggregate(VALUES, torch.zeros(8, 5).bool(), how) == 0


def test_answers_of_one_length_differ_by_a_factor_only() -> None:
    found = {how: aggregate(VALUES, None, how) for how in AGGREGATIONS}
    torch.testing.assert_close(found["sequence_sum"], 5 * found["sequence_mean"])
    torch.testing.assert_close(found["token_mean"], found["sequence_mean"])
    torch.testing.assert_close(found["max_length"], found["sequence_mean"])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="aggregation='mean' is not one of sequence_mean, token_mean"):
        aggregate(VALUES, MASK, "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_length=0 is below 1: give the length of the longest"):
        aggregate(VALUES, MASK, "max_length", 0)
