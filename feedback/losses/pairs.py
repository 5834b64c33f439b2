"""Losses of pairs: minus the log-likelihood of each choice, (n,) float, finite with finite gradients.

Arguments, where they occur: ``difference`` is d = r1 - r2, the score of the first answer minus that of the
second, (n,) float; ``target`` is p, the certainty that the first is better, (n,) float in [0, 1]; ``choice``
is FIRST, SECOND, TIE or SKIP, (n,) int64, and a SKIP costs 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from feedback.preferences import FIRST, SECOND, SKIP
from mm_envs.names import check_one_of


def bradley_terry(difference: Tensor, target: Tensor) -> Tensor:
    """-[p log s(d) + (1 - p) log s(-d)], s the logistic function (Bradley and Terry, 1952).

    A tie as the target 0.5 is the "half label" of B-Pref (Lee et al., 2021, arXiv:2111.03026): it draws the
    two scores together but gives ties no probability of their own; ``rao_kupper`` and ``davidson`` do.

    Example:
        >>> bradley_terry(torch.tensor([0.0, 1e4]), torch.tensor([0.5, 1.0]))
        tensor([0.6931, 0.0000])
    """
    return binary_cross_entropy_with_logits(difference, target, reduction="none")


def bradley_terry_with_margin(difference: Tensor, target: Tensor, margin: Tensor | float) -> Tensor:
    """-[p log s(d - m) + (1 - p) log s(-d - m)]: the better answer has to lead by m >= 0, a number or (n,).

    Touvron et al., 2023, arXiv:2307.09288; the ``margin`` of TRL's ``RewardTrainer``.

    Example:
        >>> bradley_terry_with_margin(torch.tensor([2.0]), torch.tensor([1.0]), 2.0)
        tensor([0.6931])
    """
    return -target * logsigmoid(difference - margin) - (1 - target) * logsigmoid(-difference - margin)


def label_smoothing(difference: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Bradley-Terry with the target (1 - e) p + e (1 - p), e in [0, 0.5] (Mitchell, 2023, a note on DPO).

    The gradient of a pair that the scores contradict grossly stays 1 - e; ``noise_mix`` lets it descend to 0.

    Raises:
        ValueError: ``epsilon`` is out of its range.

    Example:
        >>> label_smoothing(torch.tensor([0.0]), torch.tensor([1.0]), 0.1)
        tensor([0.6931])
    """
    if not 0 <= epsilon <= 0.5:
        raise ValueError(f"epsilon={epsilon} is not within 0 to 0.5: 0 smoothes nothing")
    return bradley_terry(difference, (1 - epsilon) * target + epsilon * (1 - target))


def noise_mix(difference: Tensor, target: Tensor, eta: float) -> Tensor:
    """-[p log P(d) + (1 - p) log P(-d)], P(d) = eta / 2 + (1 - eta) s(d), eta in [0, 1).

    With probability eta the annotator flips a coin (Christiano et al., 2017, arXiv:1706.03741, section 2.2.3,
    with eta = 0.1; ``noise_prob`` of imitation's ``PreferenceModel``).

    Raises:
        ValueError: ``eta`` is out of its range.

    Example:
        >>> noise_mix(torch.tensor([-1e4]), torch.tensor([1.0]), 0.5)
        tensor([1.3863])
    """
    if not 0 <= eta < 1:
        raise ValueError(f"eta={eta} is not within 0 to 1: 0.1 is customary")
    if eta == 0:
        return bradley_terry(difference, target)
    coin, looked = math.log(eta / 2), math.log1p(-eta)
    first = _log_add(looked + logsigmoid(difference), coin)
    second = _log_add(looked + logsigmoid(-difference), coin)
    return -target * first - (1 - target) * second


def reliability(difference: Tensor, target: Tensor, logit: Tensor) -> Tensor:
    """-[p log P(d) + (1 - p) log P(-d)], P(d) = e s(d) + (1 - e) s(-d), e = s(logit), logit (n,) float.

    With probability 1 - e an annotator labels the opposite of what they perceive (Chen et al., 2013,
    "Pairwise ranking aggregation in a crowdsourced setting", WSDM). e = 1 is Bradley-Terry, 1/2 a coin, 0 an
    adversary.

    Example:
        >>> reliability(torch.tensor([1e4, -1e4]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, -1e4]))
        tensor([0.6931, 0.0000])
    """
    right, wrong = logsigmoid(logit), logsigmoid(-logit)
    better, worse = logsigmoid(difference), logsigmoid(-difference)
    first = torch.logaddexp(right + better, wrong + worse)
    second = torch.logaddexp(right + worse, wrong + better)
    return -target * first - (1 - target) * second


def rao_kupper(difference: Tensor, choice: Tensor, width: Tensor | float) -> Tensor:
    """Ties are scores too close to tell apart (Rao and Kupper, 1967).

    P(first) = s(d - w), P(second) = s(-d - w), P(tie) = 1 - both, which is (e^(2w) - 1) s(d - w) s(-d - w).
    The width w = log theta of the paper is above 0, a number or (n,).

    Example:
        >>> torch.exp(-rao_kupper(torch.zeros(3), torch.arange(3), 1.0))
        tensor([0.2689, 0.2689, 0.4621])
    """
    width = torch.as_tensor(width, dtype=difference.dtype, device=difference.device)
    first, second = logsigmoid(difference - width), logsigmoid(-difference - width)
    tie = 2 * width + torch.log(-torch.expm1(-2 * width)) + first + second
    return -_chosen(choice, first, second, tie)


def davidson(difference: Tensor, choice: Tensor, log_nu: Tensor | float) -> Tensor:
    """Ties have a strength of their own, the geometric mean of both times nu (Davidson, 1970).

    P(tie) : P(first) : P(second) = nu sqrt(e^r1 e^r2) : e^r1 : e^r2; log nu is a number or (n,). Without ties
    it is Bradley-Terry.

    Example:
        >>> torch.exp(-davidson(torch.zeros(3), torch.arange(3), 0.0))
        tensor([0.3333, 0.3333, 0.3333])
    """
    return -_chosen(choice, *davidson_log_probabilities(difference, log_nu).unbind(-1))


def davidson_log_probabilities(difference: Tensor, log_nu: Tensor | float) -> Tensor:
    """The logarithms of the chances of first, second and tie, (n, 3) float; see ``davidson``."""
    tie = torch.as_tensor(log_nu, dtype=difference.dtype, device=difference.device).expand_as(difference)
    return torch.stack([difference / 2, -difference / 2, tie], -1).log_softmax(-1)


# Losses of a pair that need one number: name, and what the number is called.
PAIR_LOSSES = {
    "bradley_terry": None,
    "margin": bradley_terry_with_margin,
    "label_smoothing": label_smoothing,
    "noise_mix": noise_mix,
}


def pair_loss(name: str, difference: Tensor, target: Tensor, amount: float) -> Tensor:
    """A loss of pairs by its name; ``amount`` is its margin, epsilon or eta.

    Example:
        >>> pair_loss("noise_mix", torch.tensor([0.0]), torch.tensor([1.0]), 0.1)
        tensor([0.6931])
    """
    check_one_of("loss", name, PAIR_LOSSES)
    loss = PAIR_LOSSES[name]
    return bradley_terry(difference, target) if loss is None else loss(difference, target, amount)


def _log_add(logarithm: Tensor, constant: float) -> Tensor:
    return torch.logaddexp(logarithm, torch.full_like(logarithm, constant))


def _chosen(choice: Tensor, first: Tensor, second: Tensor, tie: Tensor) -> Tensor:
    logarithm = torch.where(choice == FIRST, first, torch.where(choice == SECOND, second, tie))
    # A skipped pair says nothing.
    return torch.where(choice == SKIP, torch.zeros_like(logarithm), logarithm)
