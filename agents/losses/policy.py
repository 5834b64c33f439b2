"""Losses of policies on whole answers: imitation, policy gradients, expected reward; and the entropy."""

from __future__ import annotations

import torch
from torch import Tensor


def imitation_loss(log_prob: Tensor) -> Tensor:
    """Cross-entropy: the mean over answers of ``-log p(answer | context)``, all parts summed.

    Args:
        log_prob: Any shape, float.

    Returns:
        A number, () float.

    Example:
        >>> imitation_loss(torch.tensor([0.5, 0.25]).log())
        tensor(1.0397)
    """
    return -log_prob.mean()


def policy_gradient_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """REINFORCE (Williams, 1992): the mean over answers of ``-A log p(answer | context)``.

    For advantages of parts, aggregate ``-A log p(part)`` by "sequence_sum" instead.

    Args:
        log_prob: Any shape, float.
        advantage: The same shape, without gradient.

    Returns:
        A number, () float.

    Example:
        >>> policy_gradient_loss(torch.tensor([0.5, 0.25]).log(), torch.tensor([1.0, -1.0]))
        tensor(-0.3466)
    """
    return -(advantage * log_prob).mean()


def expected_reward_loss(log_probs: Tensor, rewards: Tensor, relative: bool = False) -> Tensor:
    """Minus the expected reward above that of the uniform policy, of each context.

    ``J = sum over a of p(a) (r(a) - mean r)``; its gradient is what policy gradients estimate (all-action
    policy gradient: Sutton et al., "Comparing policy-gradient algorithms", 2001; Ciosek and Whiteson, 2018,
    arXiv 1706.05374). A ``relative`` J is divided by ``max(J, 0) + 1 / A``, without gradient: with 0/1
    rewards and one right answer that is the gradient of the cross-entropy where p is at least 1 / A, so
    rarely answered contexts are not given up. A constant added to all rewards changes nothing.

    Args:
        log_probs: (m, A) float, normalised log-probabilities of all A answers.
        rewards: (m, A) float, without gradient.
        relative: Whether J is divided.

    Returns:
        (m,) float.

    Example:
        >>> expected_reward_loss(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[1.0, 0.0]]))
        tensor([0.2500])
    """
    gained = (log_probs.exp() * (rewards - rewards.mean(1, keepdim=True))).sum(1)
    if relative:
        gained = gained / (gained.detach().clamp(min=0) + 1 / rewards.shape[1])
    return -gained


def entropy(log_probs_all: Tensor, mask: Tensor | None = None) -> Tensor:
    """The entropy of each part, ``-sum over choices of p log p``, in nats.

    Args:
        log_probs_all: (..., A) float, normalised log-probabilities of all choices; -inf for impossible ones.
        mask: (...) bool, the parts that were written; None for all.

    Returns:
        (...) float; 0 where the mask is False.

    Example:
        >>> entropy(torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]).log())
        tensor([0.6931, 0.0000])
    """
    if mask is not None:
        log_probs_all = log_probs_all.masked_fill(~mask[..., None], -torch.inf)
    # p log p is 0 for an impossible choice, and so is its gradient: 0 * -inf would be neither.
    possible = log_probs_all.masked_fill(log_probs_all == -torch.inf, 0)
    return (log_probs_all.exp() * -possible).sum(-1)
