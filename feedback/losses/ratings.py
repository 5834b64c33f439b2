"""Losses of ratings on an ordered scale, and of approvals; (n,) float each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, pad


def cumulative_logits(score: Tensor, level: Tensor, cuts: Tensor) -> Tensor:
    """-log P(level k), where P(level <= k) = s(c_k - r) with ordered cut-points c (McCullagh, 1980).

    The chance of a level between two cuts is computed as the product s(c_k - r) s(r - c_(k-1))
    (1 - e^(c_(k-1) - c_k)): its logarithm needs no difference of near numbers.

    Args:
        score: r, (n,) float.
        level: k, (n,) int64 in 0 .. K - 1, 0 the worst.
        cuts: Ascending, (K - 1,) float, or (n, K - 1).

    Example:
        >>> cuts = torch.tensor([-1.0, 1.0])
        >>> torch.exp(-cumulative_logits(torch.zeros(3), torch.arange(3), cuts))
        tensor([0.2689, 0.4621, 0.2689])
    """
    cuts = cuts.expand(len(score), -1)
    least, most = level == 0, level == cuts.shape[1]
    # The outer levels have one cut only; the other is a placeholder.
    lower = cuts.gather(1, (level - 1).clamp(min=0)[:, None])[:, 0]
    upper = cuts.gather(1, level.clamp(max=cuts.shape[1] - 1)[:, None])[:, 0]
    inner = ~(least | most)
    width = torch.where(inner, upper - lower, 1.0)
    below, above = logsigmoid(upper - score), logsigmoid(score - lower)
    between = torch.log(-torch.expm1(-width))
    nothing = torch.zeros_like(score)
    return -(
        torch.where(most, nothing, below)
        + torch.where(least, nothing, above)
        + torch.where(inner, between, nothing)
    )


def ordered_cuts(first: Tensor, log_widths: Tensor) -> Tensor:
    """Ascending cut-points: the first, () float, and then the logarithms of the widths between, (K - 2,).

    Example:
        >>> ordered_cuts(torch.tensor(-1.0), torch.zeros(2))
        tensor([-1.,  0.,  1.])
    """
    return first + pad(log_widths.exp().cumsum(0), (1, 0))


def approval(score: Tensor, approved: Tensor, threshold: Tensor | float) -> Tensor:
    """-log s(r - t) for approved answers, -log s(t - r) for others; the threshold t is a number or (n,).

    Example:
        >>> approval(torch.tensor([0.0, 1e4]), torch.tensor([True, False]), 0.0)
        tensor([6.9315e-01, 1.0000e+04])
    """
    return binary_cross_entropy_with_logits(score - threshold, approved.to(score.dtype), reduction="none")
