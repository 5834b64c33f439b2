"""Pairs of answers, and what a policy loses on them: DPO and its relatives, KTO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.heads import PLAIN, Sampling
from agents.losses import PREFERENCE_LOSSES, kto, preference_loss
from agents.policy import ResponsePolicy
from agents.rollout import Rollout, parts_of
from mm_envs.batch import Batch
from mm_envs.names import at_least, check_one_of

LOSSES = (*PREFERENCE_LOSSES, "kto")


@dataclass(frozen=True)
class PairBatch(Batch):
    """n pairs of answers to a context each, and which one is better.

    Attributes:
        context: By observation key, (n, ...); a lazy mapping is gathered batch by batch.
        response: Both answers, (n, 2, ...), as ``Episodes.response``.
        target: The certainty that the first one is better, (n,) float32 in [0, 1]; 0.5 for a tie.
        length: (n, 2) int64; None for kinds without length.
        turns: As ``Episodes.turns``, (n, 2, ...); None where there is no conversation.
        weight: Of each pair in the loss, (n,) float32; None for equal ones.

    Example:
        >>> pairs = PairBatch({"x": torch.zeros(3, 4)}, torch.tensor([[0, 1], [2, 1], [1, 0]]), torch.ones(3))
        >>> len(pairs), pairs.take(torch.tensor([1])).response.tolist()
        (3, [[2, 1]])
    """

    context: Mapping[str, Tensor]
    response: Tensor
    target: Tensor
    length: Tensor | None = None
    turns: Mapping[str, Tensor] | None = None
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.response)

    def rollout(self) -> Rollout:
        """The two answers as those to one context."""
        return Rollout(self.context, self.response, self.length, self.turns)


@dataclass(frozen=True)
class PairLoss:
    """A loss of pairs with its settings.

    Attributes:
        name: One of ``PREFERENCE_LOSSES``, or "kto".
        beta: The price of a nat away from the reference: the optimum is ``p_ref exp(r / beta)`` where labels
            are those of a Bradley-Terry annotator with the utility r.
        smoothing: The share of wrong labels that "cdpo" and "robust_dpo" expect; others take none.

    Raises:
        ValueError: A value is out of its range.
    """

    name: str = "dpo"
    beta: float = 0.1
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        check_one_of("loss", self.name, LOSSES)
        if not self.beta > 0:
            raise ValueError(f"beta={self.beta} is not above 0: 0.1 is customary")
        if not 0 <= self.smoothing < 0.5:
            raise ValueError(
                f"smoothing={self.smoothing} is not within 0 to 0.5: give the share of wrong labels"
            )

    def __call__(self, log_ratio: Tensor, target: Tensor, mismatched: Tensor | None = None) -> Tensor:
        """The loss of each pair.

        Args:
            log_ratio: ``log p / p_ref`` of both answers, all parts summed, (n, 2) float.
            target: The certainty that the first one is better, (n,) float.
            mismatched: ``log p / p_ref`` of answers to other contexts, (j,) float; for "kto", which needs it.

        Returns:
            (n,) float. With "kto" the better answer of a pair is desirable and the other is not; the loss is
            their mean.

        Example:
            >>> PairLoss(beta=1.0)(torch.tensor([[2.0, 0.0]]), torch.ones(1))
            tensor([0.1269])
        """
        if self.name != "kto":
            about: dict[str, Any] = {}
            if self.name in ("cdpo", "robust_dpo"):
                about["smoothing"] = self.smoothing
            difference = log_ratio[:, 0] - log_ratio[:, 1]
            return preference_loss(self.name, difference, target, self.beta, **about)
        assert mismatched is not None
        certainty = torch.stack([target, 1 - target], 1).flatten()
        return kto(log_ratio.flatten(), certainty, mismatched, self.beta).view(-1, 2).mean(1)


def log_ratios(log_prob: Tensor, reference: ResponsePolicy, rollout: Rollout, sampling: Sampling) -> Tensor:
    """``log p / p_ref`` of whole answers, (m, k).

    Args:
        log_prob: Under the policy, all parts summed, (m, k).
        reference: The reference.
        rollout: The answers.
        sampling: The distribution of both.
    """
    return log_prob - _whole(reference, rollout, sampling)


@torch.no_grad()
def mismatched_ratios(
    policy: ResponsePolicy, reference: ResponsePolicy, rollout: Rollout, sampling: Sampling = PLAIN
) -> Tensor:
    """``log p / p_ref`` of the answers to the context before, (m * k,), without gradient.

    ``kto`` estimates from them how far the policy is from the reference.

    Raises:
        ValueError: There is one context.
    """
    at_least("contexts", len(rollout), 2, "kto compares with answers to other contexts of the batch")
    rows = torch.arange(len(rollout), device=rollout.response.device).roll(1)
    others = rollout.take(rows)
    moved = Rollout(rollout.context, others.response, others.length, others.turns)
    ratio = _whole(policy, moved, sampling) - _whole(reference, moved, sampling)
    return ratio.flatten()


@torch.no_grad()
def _whole(policy: ResponsePolicy, rollout: Rollout, sampling: Sampling) -> Tensor:
    return parts_of(policy, policy.encode(rollout.context), rollout, sampling)[1].sum(2)
