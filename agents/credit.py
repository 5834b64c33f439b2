"""What each part of an answer is credited with: rewards, baselines, advantages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.losses import (
    against_baseline,
    batch_standardise,
    dense_returns,
    gae,
    k1,
    leave_one_out,
    normalise,
    over_mean,
)
from agents.on_policy_settings import OnPolicySettings
from agents.rollout import Rollout
from mm_envs.batch import Batch


@dataclass(frozen=True)
class Known(Batch):
    """What is known of drawn answers when they were drawn, without gradients; all (m, k, parts).

    Attributes:
        written: Which parts were written, bool.
        log_prob: Of the parts.
        reference: The log-probability of the parts under the reference; None without one.
        exact_kl: The exact divergence from the reference of each part; None where it is not paid for.
        values: Predicted returns of the parts; None without a value.
    """

    written: Tensor
    log_prob: Tensor
    reference: Tensor | None = None
    exact_kl: Tensor | None = None
    values: Tensor | None = None


@dataclass(frozen=True)
class Credit(Batch):
    """The credit of k answers to each of m contexts, part by part, without gradients.

    Attributes:
        advantage: (m, k, parts) float32.
        written: Which parts were written, (m, k, parts) bool.
        returns: What the value of each part shall be, (m, k, parts) float32.
        kl: The mean divergence from the reference, in nats an answer; 0 without one.
    """

    advantage: Tensor
    written: Tensor
    returns: Tensor
    kl: float = 0.0


def credit_of(
    rollout: Rollout, known: Known, settings: OnPolicySettings, price: float, greedy: Rollout | None = None
) -> Credit:
    """The credit of the parts of answers.

    A part is paid the change of the score where beginnings were scored; else the last part is paid the reward
    of the answer. The price of leaving the reference is paid part by part, see ``payments``. The return of a
    part is the sum of what it and later parts are paid; without scores of beginnings, the reward is part of
    all returns.

    Args:
        rollout: The answers with their rewards.
        known: Their log-probabilities.
        settings: Baseline, normalisation, and where the divergence is paid.
        price: Of a nat.
        greedy: One likeliest answer to each context with its reward, for baseline "greedy".
    """
    paid = payments(known, settings, price)
    assert rollout.reward is not None
    whole = rollout.reward + paid.sum(2)
    returns = _returns(rollout, known.written) + _to_go(paid)
    if known.values is not None:
        advantage, returns = _by_value(rollout, known, paid, settings.gae_lambda)
    elif settings.baseline == "greedy":
        assert greedy is not None
        # Of the reward alone: whatever the greedy answer pays, the baseline does not depend on the draws.
        everywhere = torch.ones_like(known.written[:, :1])
        advantage = against_baseline(returns, _returns(greedy, everywhere))
    else:
        advantage = _by_group(returns, whole, settings)
    how: Any = settings.normalisation
    if how != "none":
        # Of each part: where whole answers are alike, the returns of later parts may still differ.
        advantage = normalise(advantage, returns if how == "std" else whole, how)
    if settings.standardise:
        advantage = batch_standardise(advantage, known.written)
    return Credit(advantage, known.written, returns, divergence(known))


def divergence(known: Known) -> float:
    """The mean divergence from the reference, in nats an answer; 0 without a reference."""
    if known.exact_kl is not None:
        return float(known.exact_kl.sum(2).mean())
    return 0.0 if known.reference is None else float(k1(known.log_prob, known.reference).sum(2).mean())


def payments(known: Known, settings: OnPolicySettings, price: float) -> Tensor:
    """What each part is paid for the divergence from the reference, (m, k, parts), at most 0 on average.

    In the reward each part pays its k1. With the exact divergence in the loss, which differentiates each part
    given the parts before it, a part pays for that of the next part: the sum of what later parts pay is how
    it changes the divergence of them, which the loss does not see. Other estimators in the loss are those of
    whole answers and see everything.
    """
    nothing = torch.zeros_like(known.log_prob)
    if not settings.kl or known.reference is None:
        return nothing
    if settings.kl_in == "reward":
        return -price * k1(known.log_prob, known.reference)
    if known.exact_kl is None:
        return nothing
    return -price * torch.cat([known.exact_kl[:, :, 1:], nothing[:, :, :1]], 2)


def _returns(rollout: Rollout, written: Tensor) -> Tensor:
    """The reward-to-go of each part, (m, k, parts)."""
    assert rollout.reward is not None
    if rollout.prefix_scores is not None:
        return dense_returns(rollout.prefix_scores, written)
    return rollout.reward[:, :, None].expand(written.shape)


def _to_go(paid: Tensor) -> Tensor:
    """The sum of what each part and later ones are paid."""
    return paid.flip(2).cumsum(2).flip(2)


def _by_group(returns: Tensor, whole: Tensor, settings: OnPolicySettings) -> Tensor:
    """Advantages over other answers to the same context."""
    baseline = settings.baseline
    if baseline == "softmax":
        weights = (whole / settings.softmax_temperature).softmax(1)
        return (whole.shape[1] * weights - 1)[:, :, None].expand_as(returns)
    if baseline == "leave_one_out":
        return leave_one_out(returns)
    if baseline == "mean":
        return over_mean(returns)
    if baseline == "none":
        return returns
    best = whole == whole.amax(1, keepdim=True)
    share = best / best.sum(1, keepdim=True)
    return (share * whole.shape[1])[:, :, None].expand_as(returns)


def _by_value(rollout: Rollout, known: Known, paid: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Advantages over predicted returns, and the returns to predict."""
    assert rollout.reward is not None
    assert known.values is not None
    rewards = part_rewards(rollout, known.written) + paid
    flat = [one.flatten(0, 1) for one in (rewards, known.values, known.written)]
    advantage, returns = gae(flat[0], flat[1], flat[2], lam=lam)
    return advantage.view_as(paid), returns.view_as(paid)


def part_rewards(rollout: Rollout, written: Tensor) -> Tensor:
    """What each part is paid, (m, k, parts): changes of the score, or the reward at the last part.

    Args:
        rollout: Answers with their rewards.
        written: Which parts were written, (m, k, parts) bool.
    """
    assert rollout.reward is not None
    if rollout.prefix_scores is not None:
        scores = rollout.prefix_scores
        before = torch.cat([torch.zeros_like(scores[:, :, :1]), scores[:, :, :-1]], 2)
        return (scores - before) * written
    last = written.to(torch.int64).cumsum(2).argmax(2, keepdim=True)
    nothing = torch.zeros(written.shape, dtype=rollout.reward.dtype, device=written.device)
    return nothing.scatter(2, last, rollout.reward[:, :, None])
