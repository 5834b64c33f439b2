"""What a head is: a distribution over the answers of one kind, given the context."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.heads.parts import Categorical, Parts
from agents.heads.sampling import PLAIN, Sampling
from mm_envs.answers import Answered, Choice, Ranking
from mm_envs.random import fold, gumbel

Turns: TypeAlias = Mapping[str, Tensor]
Hear: TypeAlias = Callable[[Tensor], Turns]
"""From the choices so far, (n, turns), to what is heard; see ``mm_envs.tasks.play.hearing``."""


class AnswerHead(nn.Module):
    """A distribution over the answers of one kind.

    Several answers may share a context: with m contexts and n answers, rows i * n / m to (i + 1) * n / m - 1
    are answers to context i. What depends on the context alone is computed once.

    Attributes:
        attends: Whether heads of this class use the tokens of contexts.
        width: Numbers per state of ``Parts``.
    """

    attends: ClassVar[bool] = False
    width: int

    @abstractmethod
    def distribution(
        self,
        context: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Turns | None = None,
        sampling: Sampling = PLAIN,
    ) -> Parts:
        """The distribution of each part of n answers, given the parts before it.

        ``response``, ``length`` and ``turns`` are those of ``Episodes``. No length: it is found.
        """

    def log_probs(
        self,
        context: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Turns | None = None,
    ) -> Tensor:
        """The log-probability of each part of answers, (n, parts); 0 for parts that were not written."""
        return self.distribution(context, response, length, turns).log_prob(response)

    @abstractmethod
    def sample(
        self, context: Context, hashes: Tensor, sampling: Sampling = PLAIN, hear: Hear | None = None
    ) -> Answered:
        """Draws one answer for each hash (n,) int64.

        Args:
            context: m contexts; n is a multiple of m.
            hashes: A row depends on its context and its hash alone.
            sampling: How.
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
        self.kind, self.width = kind, features
        count = int(kind.action_space.n)  # type: ignore[attr-defined]
        self.out = PooledLinear(features, count) if kind.among is None else Pointer(features, hidden)

    def logits(self, context: Context) -> Tensor:
        """Unnormalised log-probabilities of the choices, (m, choices)."""
        scores: Tensor = self.out(context)
        return scores


def one_part(log_probs: Tensor, context: Context, answers: int) -> Categorical:
    """Answers of one part each, of log-probabilities (m, options) for m contexts."""
    each = context.answers_each(answers)
    states = context.pooled.repeat_interleave(each, 0) if each > 1 else context.pooled
    several = log_probs.repeat_interleave(each, 0) if each > 1 else log_probs
    return Categorical(several[:, None], states[:, None])


def draw(logits: Tensor, hashes: Tensor, sampling: Sampling) -> Tensor:
    """One choice of each row of logits (n, k) by the hash of the row (n,).

    The largest logit after Gumbel noise (Gumbel, 1954) wins, which is a draw from the softmax.
    """
    if sampling.likeliest:
        return logits.argmax(1)
    return (sampling.adjusted(logits) + noise(logits, hashes)).argmax(1)


def noise(logits: Tensor, hashes: Tensor) -> Tensor:
    """Gumbel noise for each logit (n, k) by the hash of the row (n,)."""
    return gumbel(fold(hashes[:, None], torch.arange(logits.shape[1], device=hashes.device)))
