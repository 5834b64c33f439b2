"""Losses of PPO, one value for each part of an answer: ``aggregate`` makes them a number."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.losses.aggregation import aggregate

# Beyond it e^x says nothing more about a step, and overflows in float32 soon after.
_MAX_LOG_RATIO = 20.0


def ratio(log_prob: Tensor, old: Tensor) -> Tensor:
    """``p_new / p_old``, with its logarithm limited to 20 either way.

    Args:
        log_prob: Any shape, float.
        old: The same shape: log-probabilities when the answers were drawn, without gradient.

    Example:
        >>> ratio(torch.tensor([0.5]).log(), torch.tensor([0.25]).log())
        tensor([2.])
    """
    return (log_prob - old).clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp()


def _surrogates(
    log_prob: Tensor, old: Tensor, advantage: Tensor, clip: float, clip_high: float | None
) -> tuple[Tensor, Tensor]:
    change = ratio(log_prob, old)
    high = clip if clip_high is None else clip_high
    return change * advantage, change.clamp(1 - clip, 1 + high) * advantage


def clipped_loss(
    log_prob: Tensor, old: Tensor, advantage: Tensor, clip: float = 0.2, clip_high: float | None = None
) -> Tensor:
    """The clipped surrogate of PPO (Schulman et al., 2017, arXiv 1707.06347), one value for each part.

    ``-min(w A, clip(w, 1 - e, 1 + e) A)`` with the ratio ``w = p_new / p_old``. At the old policy its
    gradient is that of ``policy_gradient_loss``.

    Args:
        log_prob: (..., L) float.
        old: The same shape: log-probabilities when the answers were drawn, without gradient.
        advantage: The same shape, without gradient.
        clip: e, below the ratio 1.
        clip_high: e above the ratio 1 (DAPO: Yu et al., 2025, arXiv 2503.14476); None for ``clip``.

    Returns:
        The same shape.

    Example:
        >>> new, old = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.25]).log()
        >>> clipped_loss(new, old, torch.tensor([1.0, -1.0]))
        tensor([-1.2000,  2.0000])
    """
    return -torch.min(*_surrogates(log_prob, old, advantage, clip, clip_high))


def clip_fraction(
    log_prob: Tensor,
    old: Tensor,
    advantage: Tensor,
    mask: Tensor | None = None,
    clip: float = 0.2,
    clip_high: float | None = None,
) -> Tensor:
    """The share of parts that ``clipped_loss`` gives no gradient, with its arguments; for logs.

    Args:
        log_prob: (..., L) float.
        old: The same shape.
        advantage: The same shape.
        mask: The same shape, bool: the parts that count; None for all.
        clip: e, below the ratio 1.
        clip_high: e above the ratio 1; None for ``clip``.

    Returns:
        A number, () float, without gradient.

    Example:
        >>> new, old = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.25]).log()
        >>> clip_fraction(new, old, torch.tensor([1.0, -1.0]))
        tensor(0.5000)
    """
    free, clipped = _surrogates(log_prob.detach(), old, advantage, clip, clip_high)
    return aggregate((clipped < free).to(free.dtype), mask, "token_mean")


def approximate_kl(log_prob: Tensor, old: Tensor, mask: Tensor | None = None) -> Tensor:
    """KL(old || new) by parts drawn from the old policy; for logs and for stopping epochs early.

    The mean of ``w - 1 - log w``, never below 0 (Schulman, "Approximating KL divergence", 2020).

    Args:
        log_prob: (..., L) float.
        old: The same shape.
        mask: The same shape, bool: the parts that count; None for all.

    Returns:
        A number in nats a part, () float, without gradient.

    Example:
        >>> approximate_kl(torch.tensor([[0.5]]).log(), torch.tensor([[0.25]]).log())
        tensor(0.3069)
    """
    difference = log_prob.detach() - old
    return aggregate(ratio(log_prob.detach(), old) - 1 - difference, mask, "token_mean")


def value_loss(
    values: Tensor, returns: Tensor, old_values: Tensor | None = None, clip: float | None = None
) -> Tensor:
    """Half the squared error of values, one for each part.

    ``max((V - R)^2, (V_old + clip(V - V_old, -e, e) - R)^2) / 2`` where clipped, as PPO2 of OpenAI's
    baselines and TRL do; the clip depends on the scale of the rewards.

    Args:
        values: (..., L) float.
        returns: The same shape, without gradient.
        old_values: The same shape: the values when the answers were drawn; needed for ``clip``.
        clip: e; None does not clip.

    Returns:
        The same shape.

    Raises:
        ValueError: ``clip`` without ``old_values``.

    Example:
        >>> one, zero = torch.tensor([1.0]), torch.tensor([0.0])
        >>> value_loss(one, torch.tensor([2.0])), value_loss(one, torch.tensor([2.0]), zero, clip=0.5)
        (tensor([0.5000]), tensor([1.1250]))
    """
    error = (values - returns).square()
    if clip is None:
        return error / 2
    if old_values is None:
        raise ValueError(f"clip={clip} needs old_values: give them, or clip=None")
    old = old_values.detach()
    return torch.max(error, (old + (values - old).clamp(-clip, clip) - returns).square()) / 2
