"""Learning from preferences that were recorded before: offline DPO and its relatives."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.heads import PLAIN
from agents.losses import schedule
from agents.pair_loss import PairBatch, PairLoss, log_ratios, mismatched_ratios
from agents.policy import ResponsePolicy
from agents.rollout import parts_of
from mm_envs.names import at_least, whole
from mm_envs.random import fold, stream


@dataclass(frozen=True)
class PairSettings:
    """Settings of learning from recorded pairs.

    Attributes:
        loss: "dpo", "cdpo", "robust_dpo", "ipo", "hinge" or "kto"; see ``agents.losses.preferences``.
        beta: The price of a nat away from the reference.
        smoothing: The share of wrong labels that "cdpo" and "robust_dpo" expect.
        epochs: How often each pair is seen.
        batch: Pairs an update.
        learning_rate: The highest of a cosine, of AdamW.
        warm: The share of the training in which the learning rate rises.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are scaled down to this norm.

    Raises:
        ValueError: A value is out of its range.
    """

    loss: str = "dpo"
    beta: float = 0.1
    smoothing: float = 0.1
    epochs: int = 1
    batch: int = 64
    learning_rate: float = 1e-3
    warm: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            whole(name, getattr(self, name))
            at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "weight_decay", "max_grad_norm"):
            at_least(name, getattr(self, name), 0)
        schedule("cosine", 0.0, self.warm)
        PairLoss(self.loss, self.beta, self.smoothing)


def learn_pairs(
    policy: ResponsePolicy,
    pairs: PairBatch,
    settings: PairSettings | None = None,
    *,
    reference: ResponsePolicy | None = None,
    seed: int = 0,
) -> list[float]:
    """Trains a policy in place on recorded pairs (Rafailov et al., 2023, arXiv 2305.18290).

    Args:
        policy: The policy.
        pairs: Pairs of answers with labels; of people, for instance: ``feedback.policy_pairs.pair_batch``.
        settings: Loss and optimizer; None for the defaults.
        reference: The policy to stay near; None for ``policy`` as it is at first.
        seed: Of the order.

    Returns:
        The loss of each update.

    Raises:
        ValueError: There are no pairs, or "kto" is left with a batch of one.

    Example:
        >>> from agents.examples import Examples
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> right = Examples(task, items=8).batch(0, 8)
        >>> wrong = (right.response + 1) % 10
        >>> pairs = PairBatch(right.context, torch.cat([right.response, wrong], 1), torch.ones(8))
        >>> losses = learn_pairs(ResponsePolicy(task, 16, 16), pairs, PairSettings(epochs=20, warm=0))
        >>> losses[-1] < losses[0]
        True
    """
    wanted = settings or PairSettings()
    at_least("pairs", len(pairs), 1, "collect some")
    reference = copy.deepcopy(policy).requires_grad_(False) if reference is None else reference
    device = next(policy.parameters()).device
    optimizer = torch.optim.AdamW(
        policy.parameters(), wanted.learning_rate, weight_decay=wanted.weight_decay, fused=True
    )
    batches, losses = list(_batches(len(pairs), wanted, seed)), list[float]()
    for number, rows in enumerate(batches):
        factor = schedule("cosine", (number + 1) / len(batches), wanted.warm, last=0.01)
        optimizer.param_groups[0]["lr"] = wanted.learning_rate * factor
        loss = pair_loss_of(policy, reference, pairs.take(rows.to(pairs.response.device)).to(device), wanted)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(policy.parameters(), wanted.max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    return losses


def pair_loss_of(
    policy: ResponsePolicy, reference: ResponsePolicy, pairs: PairBatch, settings: PairSettings
) -> Tensor:
    """The weighted mean loss of pairs, () float."""
    rollout = pairs.rollout()
    log_prob = parts_of(policy, policy.encode(rollout.context), rollout)[1].sum(2)
    ratio = log_ratios(log_prob, reference, rollout, PLAIN)
    other = mismatched_ratios(policy, reference, rollout) if settings.loss == "kto" else None
    each = PairLoss(settings.loss, settings.beta, settings.smoothing)(ratio, pairs.target, other)
    weight = torch.ones_like(each) if pairs.weight is None else pairs.weight
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)


def _batches(count: int, settings: PairSettings, seed: int) -> Iterator[Tensor]:
    """The rows of each update: every pair once an epoch, in an order that the seed and the epoch decide."""
    for epoch in range(settings.epochs):
        hashes = fold(stream(seed, "order of pairs"), epoch, torch.arange(count))
        yield from torch.split(hashes.argsort(), settings.batch)
