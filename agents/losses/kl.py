"""The price of leaving the reference policy: estimators of the KL divergence, and where each may be used.

Estimators take ``log_prob`` and ``reference``, log-probabilities of the same answers (or parts of answers)
under the policy, which drew them, and under the reference; any shape, float. The result has the same shape,
with ``d = log_prob - reference`` (Schulman, "Approximating KL divergence", 2020).

The estimate of a value is not the estimate of its gradient: a loss is differentiated without the effect of
the policy on what is drawn (Tang and Munos, 2025, arXiv 2506.09477; Liu et al., 2025, arXiv 2510.01555).
``check_kl`` refuses the combinations with a wrong gradient.

Log-probabilities of whole answers give the gradient of the KL of whole answers. Applied to each part, a loss
misses how a part changes the KL of later parts; "k1" in the reward, summed from the part on, does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mm_envs.names import check_one_of

Estimator: TypeAlias = Literal["k1", "k2", "k3", "k3+", "exact"]
Placement: TypeAlias = Literal["reward", "loss"]


def k1(log_prob: Tensor, reference: Tensor) -> Tensor:
    """``d``: unbiased, below 0 for some answers. In the reward.

    Example:
        >>> k1(torch.tensor([0.5]).log(), torch.tensor([0.25]).log())
        tensor([0.6931])
    """
    return log_prob - reference


def k2(log_prob: Tensor, reference: Tensor) -> Tensor:
    """``d^2 / 2``: a biased value whose expected gradient is that of KL(policy || reference). In the loss.

    Example:
        >>> k2(torch.tensor([0.5]).log(), torch.tensor([0.25]).log())
        tensor([0.2402])
    """
    return (log_prob - reference).square() / 2


def k3(log_prob: Tensor, reference: Tensor) -> Tensor:
    """``e^-d - 1 + d``: unbiased, never below 0, little variance near the reference. For logs.

    Its expected gradient is that of KL(reference || policy), the other direction.

    Example:
        >>> k3(torch.tensor([0.5]).log(), torch.tensor([0.25]).log())
        tensor([0.1931])
    """
    difference = log_prob - reference
    return torch.expm1(-difference) + difference


def straight_through_k3(log_prob: Tensor, reference: Tensor) -> Tensor:
    """The value of ``k3`` with the gradient of ``k2``. In the loss, where its value is logged, too.

    The ``k3+`` of verl.

    Example:
        >>> straight_through_k3(torch.tensor([0.5]).log(), torch.tensor([0.25]).log())
        tensor([0.1931])
    """
    differentiable = k2(log_prob, reference)
    return differentiable + (k3(log_prob, reference) - differentiable).detach()


KL_ESTIMATORS: dict[Estimator, Callable[[Tensor, Tensor], Tensor]] = {
    "k1": k1,
    "k2": k2,
    "k3": k3,
    "k3+": straight_through_k3,
}
"""Estimators from log-probabilities of drawn answers; ``exact_kl`` takes those of all choices."""


def exact_kl(log_probs_all: Tensor, reference_all: Tensor, mask: Tensor | None = None) -> Tensor:
    """KL(policy || reference) of each part, ``sum over choices of p (log p - log p_ref)``. In the loss.

    Args:
        log_probs_all: (..., A) float, normalised log-probabilities of all choices; -inf for impossible ones.
        reference_all: The same shape: those of the reference, without gradient.
        mask: (...) bool, the parts that were written; None for all.

    Returns:
        (...) float in nats; 0 where the mask is False.

    Example:
        >>> exact_kl(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log())
        tensor([0.1438])
    """
    if mask is not None:
        # Filled before the product: what padding holds reaches neither the value nor the gradient.
        log_probs_all = log_probs_all.masked_fill(~mask[..., None], -torch.inf)
    impossible = log_probs_all == -torch.inf
    difference = log_probs_all.masked_fill(impossible, 0) - reference_all.masked_fill(impossible, 0)
    return (log_probs_all.exp() * difference).sum(-1)


KL_PLACEMENTS: dict[Placement, tuple[Estimator, ...]] = {
    "reward": ("k1",),
    "loss": ("exact", "k2", "k3+"),
}
"""Where each estimator has the gradient of KL(policy || reference)."""

_CURE_LOSS = "use exact, k2 or k3+ there, or k1 in the reward"
_CURE_REWARD = "use k1 there, or exact, k2 or k3+ in the loss"
_REFUSED: dict[tuple[Placement, Estimator], str] = {
    ("loss", "k1"): f"its expected gradient is zero, so nothing holds the policy: {_CURE_LOSS}",
    (
        "loss",
        "k3",
    ): f"its gradient is that of the forward KL(reference || policy), a biased optimum: {_CURE_LOSS}",
    ("reward", "k2"): f"its expected gradient is not that of the KL: {_CURE_REWARD}",
    ("reward", "k3"): f"its expected gradient lacks that of the forward KL, a biased optimum: {_CURE_REWARD}",
    ("reward", "k3+"): f"a reward has no gradient, which leaves k3 with its bias: {_CURE_REWARD}",
    ("reward", "exact"): f"it is the same for every answer, so a baseline cancels it: {_CURE_REWARD}",
}


def check_kl(placement: Placement, estimator: Estimator) -> None:
    """Refuses an estimator of the KL at a place where its gradient is wrong.

    Args:
        placement: "reward", without gradient and before the advantage, or "loss".
        estimator: "k1", "k2", "k3", "k3+" or "exact".

    Raises:
        ValueError: The estimator is not for this place, with the reason and the cure; or a name is unknown.

    Example:
        >>> check_kl("reward", "k1")
        >>> check_kl("loss", "k1")
        Traceback (most recent call last):
        ValueError: estimator='k1' of the KL in the loss: its expected gradient is zero, so nothing holds ...
    """
    check_one_of("placement", placement, KL_PLACEMENTS)
    check_one_of("estimator", estimator, [*KL_ESTIMATORS, "exact"])
    if estimator not in KL_PLACEMENTS[placement]:
        raise ValueError(
            f"estimator={estimator!r} of the KL in the {placement}: {_REFUSED[placement, estimator]}"
        )
