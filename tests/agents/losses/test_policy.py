"""Losses of whole answers: imitation, policy gradients, expected rewards; the entropy."""

from __future__ import annotations

import math

import pytest
import torch
from closed_form import expected_gradient
from torch.nn import functional

from agents.losses import (
    entropy,
    expected_reward_loss,
    imitation_loss,
    policy_gradient_loss,
)


def test_imitation_is_the_cross_entropy() -> None:
    logits, right = torch.randn(6, 5), torch.randint(5, (6,))
    log_prob = logits.log_softmax(1).gather(1, right[:, None])
    torch.testing.assert_close(imitation_loss(log_prob), functional.cross_entropy(logits, right))


def test_policy_gradient_by_hand() -> None:
    log_prob = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    loss = policy_gradient_loss(log_prob, torch.tensor([[0.5, -1.0]]))
    assert loss == -0.75
    assert torch.autograd.grad(loss, log_prob)[0].tolist() == [[-0.25, 0.5]]


def test_expected_reward_is_what_policy_gradients_estimate() -> None:
    logits, reward = torch.randn(2, 4, dtype=torch.float64)
    given = logits.clone().requires_grad_()
    loss = expected_reward_loss(given.log_softmax(0)[None], reward[None])[0]
    (gradient,) = torch.autograd.grad(loss, given)
    drawn = expected_gradient(logits, 1, lambda lp, a: policy_gradient_loss(lp, reward[a]))
    torch.testing.assert_close(gradient, drawn)
    torch.testing.assert_close(loss, reward.mean() - (logits.softmax(0) * reward).sum())


def test_relative_reward_of_one_right_answer_has_the_gradient_of_the_cross_entropy() -> None:
    """Where its probability is at least that of the uniform policy; below, the weight is bounded."""
    logits, right = torch.randn(6, 5), torch.randint(5, (6,))
    logits[torch.arange(5), right[:5]] = logits[:5].amax(1) + 0.1
    logits[5, right[5]] = -5.0
    logits.requires_grad_()
    loss = expected_reward_loss(logits.log_softmax(1), functional.one_hot(right, 5).float(), relative=True)
    expected = functional.cross_entropy(logits, right, reduction="none")
    found, wanted = (torch.autograd.grad(one.sum(), logits)[0] for one in (loss, expected))
    torch.testing.assert_close(found[:5], wanted[:5])
    p = logits.softmax(1)[5, right[5]].detach()
    torch.testing.assert_close(found[5], wanted[5] * p * 5)


@pytest.mark.parametrize("relative", [False, True])
def test_an_offset_of_rewards_changes_nothing(relative: bool) -> None:
    log_probs, rewards = torch.randn(3, 5).log_softmax(1), torch.rand(3, 5)
    moved = expected_reward_loss(log_probs, rewards - 7.0, relative)
    torch.testing.assert_close(moved, expected_reward_loss(log_probs, rewards, relative))


def test_a_batch_of_eight_is_eight_batches_of_one() -> None:
    log_probs, rewards = torch.randn(8, 5).log_softmax(1), torch.rand(8, 5).round()
    for relative in (False, True):
        whole = expected_reward_loss(log_probs, rewards, relative)
        alone = [expected_reward_loss(log_probs[i : i + 1], rewards[i : i + 1], relative) for i in range(8)]
        torch.testing.assert_close(whole, torch.cat(alone))
        order = torch.randperm(5)
        torch.testing.assert_close(
            expected_reward_loss(log_probs[:, order], rewards[:, order], relative), whole
        )


def test_entropy_is_that_of_torch_with_its_gradient() -> None:
    logits = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    expected = torch.distributions.Categorical(logits=logits).entropy()
    found = entropy(logits.log_softmax(-1))
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(one.sum(), logits)[0] for one in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_impossible_choices_and_padding_have_no_entropy() -> None:
    logits = torch.tensor([[0.0, 0.0, -torch.inf], [7.0, 1.0, 2.0]], requires_grad=True)
    found = entropy(logits.log_softmax(1), torch.tensor([True, False]))
    assert found.tolist() == [pytest.approx(math.log(2)), 0.0]
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    assert gradient.isfinite().all()
    assert not gradient[1].any()
