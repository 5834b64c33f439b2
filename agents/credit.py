"""What each part of an answer is credited with: rewards, baselines, advantages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from agents.losses import (
    against_baseline,
    batch_standardise,
    dense_returns,
    gae,
    leave_one_out,
    normalise,
    over_mean,
)
from agents.rollout import Rollout
from mm_envs.batch import Batch

if TYPE_CHECKING:
    from agents.on_policy import OnPolicySettings


@dataclass(frozen=True)
class Credit(Batch):
    """The credit of k answers to each of m contexts, part by part, without gradients.

    Attributes:
        advantage: (m, k, parts) float32.
        written: Which parts are learned from, (m, k, parts) bool.
        returns: What the value of each part shall be, (m, k, parts) float32.
        kl: The mean divergence from the reference, in nats an answer; 0 without one.
    """

    advantage: Tensor
    written: Tensor
    returns: Tensor
    kl: float = 0.0


def credit_of(
    rollout: Rollout,
    written: Tensor,
    log_prob: Tensor,
    reference: Tensor | None,
    values: Tensor | None,
    settings: OnPolicySettings,
    price: float,
) -> Credit:
    """The credit of the parts of answers.

    A part is paid the change of the score where beginnings were scored; else the last part is paid the reward
    of the answer. The price of leaving the reference is paid part by part. The return of a part is the sum of
    what it and later parts are paid; without scores of beginnings, the reward is part of all returns.

    Args:
        rollout: The answers with their rewards.
        written: Which parts were written, (m, k, parts) bool.
        log_prob: Of the parts when they were drawn, (m, k, parts).
        reference: The log-probability of the parts under the reference; None without one.
        values: Predicted returns of the parts; None without a value.
        settings: Baseline, normalisation, and where the divergence is paid.
        price: Of a nat.
    """
    assert rollout.reward is not None
    away = torch.zeros_like(log_prob) if reference is None else log_prob - reference
    divergence = float(away.sum(2).mean())
    paid = -price * away if settings.kl and settings.kl_in == "reward" else torch.zeros_like(away)
    whole = rollout.reward + paid.sum(2)
    if rollout.prefix_scores is not None:
        returns = dense_returns(rollout.prefix_scores, written)
    else:
        returns = rollout.reward[:, :, None].expand_as(paid)
    returns = returns + paid.flip(2).cumsum(2).flip(2)
    if values is not None:
        advantage, returns = _by_value(rollout, written, paid, values, settings.gae_lambda)
    else:
        advantage, written = _by_group(returns, whole, written, settings)
    how: Any = settings.normalisation
    if how != "none":
        advantage = normalise(advantage, whole[:, : advantage.shape[1]], how)
    if settings.standardise:
        advantage = batch_standardise(advantage, written)
    return Credit(advantage, written, returns, divergence)


def _by_group(
    returns: Tensor, whole: Tensor, written: Tensor, settings: OnPolicySettings
) -> tuple[Tensor, Tensor]:
    """Advantages over other answers to the same context, and which parts are learned from."""
    baseline = settings.baseline
    if baseline == "softmax":
        weights = (whole / settings.softmax_temperature).softmax(1)
        return (whole.shape[1] * weights - 1)[:, :, None].expand_as(returns), written
    if baseline == "leave_one_out":
        return leave_one_out(returns), written
    if baseline == "mean":
        return over_mean(returns), written
    if baseline == "none":
        return returns, written
    if baseline == "greedy":
        # The greedy answer is the last; nothing is learned from it.
        learned = torch.ones_like(written)
        learned[:, -1] = False
        return against_baseline(returns, returns[:, -1:]), written & learned
    best = whole == whole.amax(1, keepdim=True)
    share = best / best.sum(1, keepdim=True)
    return (share * whole.shape[1])[:, :, None].expand_as(returns), written


def _by_value(
    rollout: Rollout, written: Tensor, paid: Tensor, values: Tensor, lam: float
) -> tuple[Tensor, Tensor]:
    """Advantages over predicted returns, and the returns to predict."""
    assert rollout.reward is not None
    if rollout.prefix_scores is not None:
        before = torch.cat([torch.zeros_like(paid[:, :, :1]), rollout.prefix_scores[:, :, :-1]], 2)
        rewards = (rollout.prefix_scores - before) * written
    else:
        last = written.to(torch.int64).cumsum(2).argmax(2, keepdim=True)
        rewards = torch.zeros_like(paid).scatter(2, last, rollout.reward[:, :, None])
    flat = [one.flatten(0, 1) for one in (rewards + paid, values, written)]
    advantage, returns = gae(flat[0], flat[1], flat[2], lam=lam)
    return advantage.view_as(paid), returns.view_as(paid)
