"""Losses of policies on preferences, without a reward model: DPO and its relatives, and KTO.

Pairs are given by ``difference``, h of (n,) float, which ``log_ratio_difference`` makes: how much more the
policy prefers the first answer than the reference does, in nats, all parts of an answer *summed*. ``target``
is p, the certainty that the first is better, (n,) float in [0, 1] or one number: hard labels are 0 and 1, a
tie is 0.5, and the loss is ``p L(h) + (1 - p) L(-h)``. Results are (n,) float.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mm_envs.names import at_least, check_one_of, keywords, refuse_unknown


def log_ratio_difference(
    first: Tensor, second: Tensor, reference_first: Tensor, reference_second: Tensor
) -> Tensor:
    """``h = log p(first) / p_ref(first) - log p(second) / p_ref(second)``.

    Args:
        first: The log-probability of the first answer under the policy, all parts summed, (n,) float.
        second: That of the second.
        reference_first: That of the first under the reference, without gradient.
        reference_second: That of the second under the reference, without gradient.

    Returns:
        (n,) float.

    Example:
        >>> half, quarter = torch.tensor([0.5]).log(), torch.tensor([0.25]).log()
        >>> log_ratio_difference(half, quarter, quarter, quarter)
        tensor([0.6931])
    """
    return (first - reference_first) - (second - reference_second)


def _labelled(
    loss: Callable[[Tensor], Tensor], difference: Tensor, target: Tensor | float, beta: float
) -> Tensor:
    if not beta > 0:
        raise ValueError(f"beta={beta} is not above 0: 0.1 is customary")
    return target * loss(difference) + (1 - target) * loss(-difference)


def _check_smoothing(smoothing: float) -> None:
    if not 0 <= smoothing < 0.5:
        raise ValueError(f"smoothing={smoothing} is not within 0 to 0.5: give the share of wrong labels")


def dpo(difference: Tensor, target: Tensor | float = 1.0, beta: float = 0.1) -> Tensor:
    """``L(h) = -log s(beta h)``, s the logistic function (Rafailov et al., 2023, arXiv 2305.18290).

    Its optimum on labels of a Bradley-Terry annotator is ``p_ref exp(r / beta)``. On labels that never
    disagree it has none: h grows without limit. Take ``target`` from a reward model, or ``cdpo`` or ``ipo``.

    Example:
        >>> dpo(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5]), beta=1.0)
        tensor([0.6931, 1.1269])
    """
    return _labelled(lambda h: -logsigmoid(beta * h), difference, target, beta)


def cdpo(
    difference: Tensor, target: Tensor | float = 1.0, beta: float = 0.1, smoothing: float = 0.1
) -> Tensor:
    """Conservative DPO: ``L(h) = -(1 - e) log s(beta h) - e log s(-beta h)`` (Mitchell, 2023, a note).

    DPO with labels smoothed by e in [0, 0.5): h stays finite, at ``log((1 - e) / e) / beta`` for a hard
    label.

    Example:
        >>> cdpo(torch.tensor([2.0]), beta=1.0)
        tensor([0.3269])
    """
    _check_smoothing(smoothing)
    return dpo(difference, (1 - smoothing) * target + smoothing * (1 - target), beta)


def robust_dpo(
    difference: Tensor, target: Tensor | float = 1.0, beta: float = 0.1, smoothing: float = 0.1
) -> Tensor:
    """``((1 - e) L(h) - e L(-h)) / (1 - 2 e)`` with the L of ``dpo``.

    Chowdhury et al., 2024, arXiv 2403.00409. Its mean over labels of which the share e in [0, 0.5) is flipped
    is ``dpo`` on the true labels. It has no lower bound for a single label.

    Example:
        >>> robust_dpo(torch.tensor([2.0]), beta=1.0)
        tensor([-0.1231])
    """
    _check_smoothing(smoothing)

    def unbiased(h: Tensor) -> Tensor:
        return ((smoothing - 1) * logsigmoid(beta * h) + smoothing * logsigmoid(-beta * h)) / (
            1 - 2 * smoothing
        )

    return _labelled(unbiased, difference, target, beta)


def ipo(difference: Tensor, target: Tensor | float = 1.0, beta: float = 0.1) -> Tensor:
    """``L(h) = (h - 1 / (2 beta))^2`` (Azar et al., 2023, arXiv 2310.12036, equation 17).

    h has a finite goal, with labels that never disagree, too. Log-ratios are summed over parts, as in the
    paper and OpenRLHF; TRL takes their mean over tokens.

    Example:
        >>> ipo(torch.tensor([0.0, 5.0]))
        tensor([25.,  0.])
    """
    return _labelled(lambda h: (h - 1 / (2 * beta)).square(), difference, target, beta)


def hinge(difference: Tensor, target: Tensor | float = 1.0, beta: float = 0.1) -> Tensor:
    """``L(h) = max(0, 1 - beta h)`` (SLiC: Zhao et al., 2023, arXiv 2305.10425, with the ratio of DPO).

    Example:
        >>> hinge(torch.tensor([-10.0, 0.0, 20.0]))
        tensor([2., 1., 0.])
    """
    return _labelled(lambda h: (1 - beta * h).relu(), difference, target, beta)


PREFERENCE_LOSSES: dict[str, Callable[..., Tensor]] = {
    "dpo": dpo,
    "cdpo": cdpo,
    "robust_dpo": robust_dpo,
    "ipo": ipo,
    "hinge": hinge,
}


def preference_loss(
    name: str, difference: Tensor, target: Tensor | float = 1.0, beta: float = 0.1, **settings: float
) -> Tensor:
    """A loss of pairs by its name; ``settings`` are its other arguments.

    Raises:
        ValueError: There is no such loss or setting, or a value is out of its range.

    Example:
        >>> preference_loss("cdpo", torch.tensor([2.0]), beta=1.0, smoothing=0.1)
        tensor([0.3269])
    """
    check_one_of("loss", name, PREFERENCE_LOSSES)
    loss = PREFERENCE_LOSSES[name]
    refuse_unknown(f"loss {name!r}", settings, keywords(loss)[0][3:])
    return loss(difference, target, beta, **settings)


def kto(
    log_ratio: Tensor,
    desirable: Tensor,
    mismatched: Tensor,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """Kahneman-Tversky optimization of single answers (Ethayarajh et al., 2024, arXiv 2402.01306).

    ``w_d (1 - s(beta (l - z)))`` for desirable answers and ``w_u (1 - s(beta (z - l)))`` for others, where l
    is the log-ratio of the answer and ``z = max(0, mean of mismatched)``, without gradient. TRL
    advises that ``w_d`` times the number of desirable answers is 1 to 4/3 of ``w_u`` times that of the
    others.

    Args:
        log_ratio: l, ``log p / p_ref`` of whole answers, (n,) float.
        desirable: (n,) bool, or the certainty of it, float in [0, 1].
        mismatched: ``log p / p_ref`` of answers to *other* contexts of the batch, (n,) float.
        beta: As in ``dpo``.
        desirable_weight: w_d.
        undesirable_weight: w_u.

    Returns:
        (n,) float.

    Raises:
        ValueError: The batch has one answer, for which there is no other context.

    Example:
        >>> kto(torch.tensor([1.0, 1.0]), torch.tensor([True, False]), torch.tensor([0.5, -2.0]), beta=1.0)
        tensor([0.2689, 0.7311])
    """
    at_least("answers", len(mismatched), 2, "z is estimated from answers to other contexts of the batch")
    certainty = desirable.to(log_ratio.dtype)
    advantage = beta * (log_ratio - mismatched.mean().clamp(min=0).detach())
    good = desirable_weight * torch.sigmoid(-advantage)
    return certainty * good + (1 - certainty) * undesirable_weight * torch.sigmoid(advantage)
