"""Losses of PPO: the formulas of OpenRLHF and TRL by value, clipping, and what is logged."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agents.losses import (
    aggregate,
    approximate_kl,
    clip_fraction,
    clipped_loss,
    policy_gradient_loss,
    ratio,
    value_loss,
)

MASK = torch.arange(5) < torch.tensor([5, 3, 1, 0])[:, None]


def numbers() -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities now and then, and advantages, (4, 5)."""
    old = -torch.rand(4, 5) - 0.5
    return old + 0.4 * torch.randn(4, 5), old, torch.randn(4, 5)


def test_clipped_loss_is_the_formula_of_openrlhf() -> None:
    """``PolicyLoss``: loss and clip ratio with the token mean, other bounds below and above."""
    new, old, advantage = numbers()
    change = (new - old).exp()
    free, clipped = change * advantage, change.clamp(1 - 0.2, 1 + 0.28) * advantage
    mask = MASK.float()
    loss = (-torch.min(free, clipped) * mask).sum() / mask.sum()
    found = aggregate(clipped_loss(new, old, advantage, 0.2, 0.28), MASK, "token_mean")
    torch.testing.assert_close(found, loss)
    share = ((clipped < free).float() * mask).sum() / mask.sum()
    assert 0 < share < 1
    torch.testing.assert_close(clip_fraction(new, old, advantage, MASK, 0.2, 0.28), share)


def test_clipped_parts_have_no_gradient() -> None:
    new, old, advantage = numbers()
    new.requires_grad_()
    (gradient,) = torch.autograd.grad(clipped_loss(new, old, advantage).sum(), new)
    silent = (gradient == 0).float().mean()
    torch.testing.assert_close(clip_fraction(new, old, advantage), silent)


def test_at_the_old_policy_the_gradient_is_that_of_policy_gradients() -> None:
    new, _, advantage = numbers()
    new.requires_grad_()
    first = clipped_loss(new, new.detach(), advantage).mean()
    second = policy_gradient_loss(new, advantage)
    torch.testing.assert_close(*[torch.autograd.grad(one, new)[0] for one in (first, second)])
    assert clip_fraction(new, new.detach(), advantage) == 0
    assert approximate_kl(new, new.detach()) == 0


def test_value_loss_is_the_formula_of_trl() -> None:
    """``ppo_trainer.py``: half the larger of both squared errors."""
    values, old, returns = torch.randn(3, 4, 5)
    clipped = torch.clamp(values, old - 0.2, old + 0.2)
    expected = 0.5 * torch.max(torch.square(values - returns), torch.square(clipped - returns))
    torch.testing.assert_close(value_loss(values, returns, old, 0.2), expected)
    torch.testing.assert_close(value_loss(values, returns), 0.5 * (values - returns) ** 2)


def test_a_clip_of_values_needs_the_old_ones() -> None:
    with pytest.raises(ValueError, match=r"clip=0\.2 needs old_values: give them"):
        value_loss(torch.zeros(1), torch.zeros(1), clip=0.2)


def test_the_approximate_kl_is_unbiased() -> None:
    """Over all choices, weighted by the old policy, it is KL(old || new)."""
    old, new = torch.randn(2, 6, dtype=torch.float64).log_softmax(1)
    each = torch.stack([approximate_kl(new[i : i + 1], old[i : i + 1]) for i in range(6)])
    torch.testing.assert_close((old.exp() * each).sum(), (old.exp() * (old - new)).sum())
    assert (each >= 0).all()


def test_padding_never_matters() -> None:
    new, old, advantage = numbers()
    padded = [torch.where(MASK, one, float("nan")) for one in (new, old, advantage)]
    for found, expected in (
        (clip_fraction(*padded, MASK), clip_fraction(new[MASK], old[MASK], advantage[MASK])),
        (approximate_kl(*padded[:2], MASK), approximate_kl(new[MASK], old[MASK])),
        (
            aggregate(clipped_loss(*padded), MASK, "token_mean"),
            clipped_loss(new, old, advantage)[MASK].mean(),
        ),
    ):
        torch.testing.assert_close(found, expected)


def test_huge_steps_stay_finite() -> None:
    new, old = torch.tensor([0.0, -500.0], requires_grad=True), torch.tensor([-500.0, 0.0])
    loss = clipped_loss(new, old, torch.tensor([-1.0, -1.0])).sum()
    assert loss.isfinite()
    assert torch.autograd.grad(loss, new)[0].isfinite().all()
    assert ratio(new, old).isfinite().all()
