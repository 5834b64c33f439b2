"""Losses and advantages of trainers: pure functions of tensors."""

from __future__ import annotations

from torch import Tensor

from mm_envs.names import at_least


def imitation_loss(log_prob: Tensor) -> Tensor:
    """Cross-entropy: the mean over answers of ``-log p(answer | context)``, all parts summed."""
    return -log_prob.mean()


def policy_gradient_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """REINFORCE (Williams, 1992): the mean over answers of ``-A log p(answer | context)``.

    Both of any shape; the advantage A is without gradient.
    """
    return -(advantage * log_prob).mean()


def leave_one_out(rewards: Tensor) -> Tensor:
    """The advantage of each answer over the mean of the other answers to the same context.

    ``A_i = r_i - sum over j != i of r_j / (k - 1)`` (Kool, van Hoof and Welling, "Buy 4 REINFORCE samples,
    get a baseline for free", 2019). The baseline does not depend on the answer, so the gradient is unbiased.

    Args:
        rewards: (m, k) of k answers to each of m contexts.

    Raises:
        ValueError: k is below 2.

    Example:
        >>> import torch
        >>> leave_one_out(torch.tensor([[1.0, 0.0, 0.5]]))
        tensor([[ 0.7500, -0.7500,  0.0000]])
    """
    k = rewards.shape[1]
    at_least("answers", k, 2, "an advantage needs another answer to compare with")
    return (rewards - rewards.mean(1, keepdim=True)) * (k / (k - 1))
