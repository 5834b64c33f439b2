"""Calibration of the probabilities of reward models.

Of n pairs, ``probability`` is that of the first answer, (n,) float; ``target`` is 1 where it was preferred, 0
where the second was, 0.5 for a tie, (n,) float.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mm_envs.names import at_least

BINS = 10
_MIN_PROBABILITY = 1e-12
_TEMPERATURES = (1e-3, 1e3)
_STEPS = 60


@dataclass(frozen=True)
class ReliabilityCurve:
    """Confidence against accuracy, in bins of equally many pairs.

    Attributes:
        confidence: The mean of max(p, 1 - p) in each bin, (bins,) float64, ascending.
        accuracy: How often the likelier answer was preferred; ties count half, (bins,) float64.
        count: Pairs in each bin, (bins,) int64.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor


def reliability_curve(probability: Tensor, target: Tensor, bins: int = BINS) -> ReliabilityCurve:
    """Confidence and accuracy of pairs, sorted by confidence and cut into at most ``bins`` bins of equal
    mass.

    Example:
        >>> target = torch.tensor([1.0, 0.0, 0.0, 1.0])
        >>> curve = reliability_curve(torch.tensor([0.9, 0.2, 0.6, 0.5]), target, bins=2)
        >>> [round(one, 2) for one in curve.confidence.tolist()], curve.accuracy.tolist()
        ([0.55, 0.85], [0.25, 1.0])
    """
    at_least("bins", bins, 1)
    at_least("len(probability)", len(probability), 1, "calibration needs pairs")
    probability, target = probability.double(), target.double()
    confidence = probability.maximum(1 - probability)
    # Where both are held equally likely, half of it is right.
    right = 0.5 + (probability - 0.5).sign() * (target - 0.5)
    order = confidence.argsort(stable=True)
    n = len(order)
    bin_of = torch.arange(n, device=order.device) * min(bins, n) // n
    count = torch.bincount(bin_of)
    sums = [
        torch.zeros_like(count, dtype=torch.float64).index_add(0, bin_of, one[order])
        for one in (confidence, right)
    ]
    return ReliabilityCurve(sums[0] / count, sums[1] / count, count)


def expected_calibration_error(probability: Tensor, target: Tensor, bins: int = BINS) -> float:
    """ECE: the mean over pairs of |accuracy - confidence| of their bin, in [0, 1].

    Bins of equal mass over max(p, 1 - p), so that swapping answers changes nothing (Naeini, Cooper and
    Hauskrecht, 2015; equal mass: Nixon et al., 2019, arXiv 1904.01685). It is above 0 by chance alone.

    Example:
        >>> target = torch.tensor([1.0, 0.0, 0.0, 1.0])
        >>> expected_calibration_error(torch.tensor([1.0, 0.0, 1.0, 1.0]), target, bins=1)
        0.25
    """
    curve = reliability_curve(probability, target, bins)
    gaps = (curve.accuracy - curve.confidence).abs() * curve.count
    return float(gaps.sum() / curve.count.sum())


def brier(probability: Tensor, target: Tensor) -> float:
    """The mean of (p - target)^2 (Brier, 1950), in [0, 1].

    Example:
        >>> brier(torch.tensor([0.5, 1.0]), torch.tensor([1.0, 1.0]))
        0.125
    """
    return float((probability.double() - target.double()).square().mean())


def negative_log_likelihood(probability: Tensor, target: Tensor) -> float:
    """The mean of -[t log p + (1 - t) log(1 - p)] in nats; a certain error costs at most 27.6.

    Example:
        >>> round(negative_log_likelihood(torch.tensor([0.5]), torch.tensor([1.0])), 4)
        0.6931
    """
    p, target = probability.double().clamp(_MIN_PROBABILITY, 1 - _MIN_PROBABILITY), target.double()
    return float(-(target * p.log() + (1 - target) * (-p).log1p()).mean())


def fit_temperature(difference: Tensor, target: Tensor) -> float:
    """T in [0.001, 1000] for which sigmoid(d / T) is likeliest (Guo et al., 2017, arXiv 1706.04599).

    The negative log-likelihood is convex in 1 / T, so its slope is bisected. Where every pair is right, or
    more are wrong than right, the end of the range is given.

    Args:
        difference: Score of the first answer minus that of the second, (n,) float.
        target: (n,) float.

    Example:
        >>> difference = torch.linspace(-3, 3, 1001)
        >>> round(fit_temperature(difference, torch.sigmoid(difference / 2)), 3)
        2.0
    """
    difference, target = difference.detach().double(), target.double()
    low, high = 1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        slope = (difference * (torch.sigmoid(difference * middle) - target)).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return 1 / math.sqrt(low * high)
