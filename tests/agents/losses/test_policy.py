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
    log_expected_reward_loss,
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
    loss = expected_reward_loss(given.log_softmax(0)[None], reward[None])
    (gradient,) = torch.autograd.grad(loss, given)
    drawn = expected_gradient(logits, 1, lambda lp, a: policy_gradient_loss(lp, reward[a]))
    torch.testing.assert_close(gradient, drawn)
    torch.testing.assert_close(loss, -(logits.softmax(0) * reward).sum())


def test_log_expected_reward_of_one_right_answer_is_the_cross_entropy() -> None:
    logits, right = torch.randn(6, 5, requires_grad=True), torch.randint(5, (6,))
    loss = log_expected_reward_loss(logits.log_softmax(1), functional.one_hot(right, 5).float())
    expected = functional.cross_entropy(logits, right)
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(one, logits)[0] for one in (loss, expected)]
    torch.testing.assert_close(*gradients)


def test_log_expected_reward_weighs_a_context_by_its_expected_reward() -> None:
    logits, rewards = torch.randn(3, 5, requires_grad=True), torch.rand(3, 5)
    log_probs = logits.log_softmax(1)
    (log_gradient,) = torch.autograd.grad(
        log_expected_reward_loss(log_probs, rewards), logits, retain_graph=True
    )
    (gradient,) = torch.autograd.grad(expected_reward_loss(log_probs, rewards), logits)
    torch.testing.assert_close(log_gradient, gradient / (log_probs.exp() * rewards).sum(1, keepdim=True))


def test_a_context_without_a_rewarded_answer_counts_0_and_has_no_gradient() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    rewards = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    loss = log_expected_reward_loss(logits.log_softmax(1), rewards)
    torch.testing.assert_close(loss, -logits.log_softmax(1)[1, 1] / 2)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.isfinite().all()
    assert not gradient[0].any()


def test_rewards_below_0_have_no_logarithm() -> None:
    with pytest.raises(ValueError, match=r"rewards=-0\.5 is below 0 and has no logarithm: shift"):
        log_expected_reward_loss(torch.zeros(1, 2), torch.tensor([[-0.5, 1.0]]))


def test_a_batch_of_eight_is_eight_batches_of_one() -> None:
    log_probs, rewards = torch.randn(8, 5).log_softmax(1), torch.rand(8, 5).round()
    for loss in (expected_reward_loss, log_expected_reward_loss):
        alone = [loss(log_probs[i : i + 1], rewards[i : i + 1]) for i in range(8)]
        torch.testing.assert_close(loss(log_probs, rewards), torch.stack(alone).mean())
        order = torch.randperm(5)
        torch.testing.assert_close(loss(log_probs[:, order], rewards[:, order]), loss(log_probs, rewards))


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
