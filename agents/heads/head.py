"""What a head is: a distribution over the answers of one kind, given the context."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from mm_envs.answers import Answered, Choice, Ranking
from mm_envs.random import fold, gumbel

Turns: TypeAlias = Mapping[str, Tensor]
Hear: TypeAlias = Callable[[Tensor], Turns]
"""From the choices so far, (n, turns), to what is heard; see ``mm_envs.tasks.play.hearing``."""


class Context(NamedTuple):
    """Encoded contexts.

    Attributes:
        pooled: The fused vector, (n, F).
        candidates: The vectors of the candidates, (n, count, F); None where answers refer to none.
    """

    pooled: Tensor
    candidates: Tensor | None


class AnswerHead(nn.Module):
    """A distribution over the answers of one kind."""

    @abstractmethod
    def log_probs(
        self, context: Context, response: Tensor, length: Tensor | None, turns: Turns | None
    ) -> Tensor:
        """The log-probability of each part of answers, (n, parts); 0 for parts that were not written.

        ``response``, ``length`` and ``turns`` are those of ``Episodes``.
        """

    @abstractmethod
    def sample(self, context: Context, hashes: Tensor, temperature: float, hear: Hear | None) -> Answered:
        """Draws one answer for each context, by its hash (n,) int64.

        Args:
            context: The contexts.
            hashes: One for each row: a row depends on its context and its hash alone.
            temperature: The spread of the draws; 0 takes the likeliest part each time.
            hear: What is heard in a conversation; None for other kinds.
        """


class Pointer(nn.Module):
    """Scores of candidates t by their vectors and the context c: one hidden layer over [c, t, c * t]."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3 * features, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, context: Context) -> Tensor:
        """Scores (n, count); permuted candidates have permuted scores."""
        assert context.candidates is not None
        pooled = context.pooled[:, None].expand_as(context.candidates)
        both = torch.cat([pooled, context.candidates, pooled * context.candidates], 2)
        scores: Tensor = self.net(both)[:, :, 0]
        return scores


class PooledLinear(nn.Linear):
    """A linear layer over the fused vector of a context: scores of choices that are known by index."""

    def forward(self, context: Context) -> Tensor:  # type: ignore[override]
        """Scores (n, out_features)."""
        scores: Tensor = super().forward(context.pooled)
        return scores


class ScoredHead(AnswerHead):
    """A head that scores choices: by a pointer where they are candidates, else by index."""

    def __init__(self, kind: Choice | Ranking, features: int, hidden: int) -> None:
        super().__init__()
        self.kind, count = kind, int(kind.action_space.n)  # type: ignore[attr-defined]
        self.out = PooledLinear(features, count) if kind.among is None else Pointer(features, hidden)

    def logits(self, context: Context) -> Tensor:
        """Unnormalised log-probabilities of the choices, (n, choices)."""
        scores: Tensor = self.out(context)
        return scores


def draw(logits: Tensor, hashes: Tensor, temperature: float) -> Tensor:
    """One choice of each row of logits (n, k) by the hash of the row (n,).

    The largest logit after Gumbel noise (Gumbel, 1954) wins, which is a draw from the softmax.
    """
    return (logits + temperature * noise(logits, hashes)).argmax(1) if temperature > 0 else logits.argmax(1)


def noise(logits: Tensor, hashes: Tensor) -> Tensor:
    """Gumbel noise for each logit (n, k) by the hash of the row (n,)."""
    return gumbel(fold(hashes[:, None], torch.arange(logits.shape[1], device=hashes.device)))
