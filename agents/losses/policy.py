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


def expected_reward_loss(log_probs: Tensor, rewards: Tensor) -> Tensor:
    """Minus the expected reward, ``-sum over a of p(a) r(a)``, the mean over contexts.

    Its gradient is what policy gradients estimate (all-action policy gradient: Sutton et al., "Comparing
    policy-gradient algorithms", 2001; Ciosek and Whiteson, 2018, arXiv 1706.05374).

    Args:
        log_probs: (m, A) float, normalised log-probabilities of all A answers.
        rewards: (m, A) float, without gradient.

    Returns:
        A number, () float.

    Example:
        >>> expected_reward_loss(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[1.0, 0.0]]))
        tensor(-0.2500)
    """
    return -(log_probs.exp() * rewards).sum(1).mean()


def log_expected_reward_loss(log_probs: Tensor, rewards: Tensor) -> Tensor:
    """Minus the logarithm of the expected reward, the mean over contexts.

    ``-log sum over a of p(a) r(a)``: with 0/1 rewards and one right answer it is the cross-entropy, with
    several the maximum marginal likelihood (Guu et al., 2017, arXiv 1704.07926). Each context is weighted by
    1 over its expected reward, so rarely answered ones are not given up.

    Args:
        log_probs: (m, A) float, normalised log-probabilities of all A answers.
        rewards: (m, A) float, at least 0, without gradient.

    Returns:
        A number, () float; a context without a rewarded answer counts as 0.

    Raises:
        ValueError: A reward is below 0.

    Example:
        >>> log_expected_reward_loss(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[1.0, 0.0]]))
        tensor(1.3863)
    """
    if bool((rewards < 0).any()):
        raise ValueError(
            f"rewards={rewards.min().item():g} is below 0 and has no logarithm: shift the rewards, or take "
            "expected_reward_loss"
        )
    rewarded = (rewards > 0).any(1)
    # Ones in place of a row of zeros keep its gradient finite; the row counts as 0 below.
    terms = torch.logsumexp(log_probs + torch.where(rewarded[:, None], rewards, 1).log(), 1)
    return -torch.where(rewarded, terms, 0).mean()


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
