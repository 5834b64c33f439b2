"""One of several answers, or an order of candidates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.heads.head import Hear, ScoredHead, Turns, draw, noise, one_part
from agents.heads.parts import Categorical
from agents.heads.sampling import PLAIN, Sampling
from mm_envs.answers import Answered, Ranking
from mm_envs.random import fold


class ChoiceHead(ScoredHead):
    """A softmax over the choices."""

    def distribution(
        self,
        context: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Turns | None = None,
        sampling: Sampling = PLAIN,
    ) -> Categorical:
        """The log-probability of each choice; one part."""
        return one_part(self.all_log_probs(context, sampling), context, len(response))

    def all_log_probs(self, context: Context, sampling: Sampling = PLAIN) -> Tensor:
        """The log-probabilities of all choices, (m, choices)."""
        return sampling.adjusted(self.logits(context)).log_softmax(1)

    def sample(
        self, context: Context, hashes: Tensor, sampling: Sampling = PLAIN, hear: Hear | None = None
    ) -> Answered:
        """Draws a choice."""
        logits = self.logits(context).repeat_interleave(context.answers_each(len(hashes)), 0)
        return draw(logits, fold(hashes, 0), sampling), None


class RankingHead(ScoredHead):
    """The Plackett-Luce model: each position is a softmax over the candidates that are left.

    Luce, "Individual choice behavior" (1959); Plackett, "The analysis of permutations" (1975). A draw sorts
    the scores after Gumbel noise (Yellott, 1977).
    """

    kind: Ranking

    def distribution(
        self,
        context: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Turns | None = None,
        sampling: Sampling = PLAIN,
    ) -> Categorical:
        """The candidates of each position given those before it; ``top`` parts."""
        _refuse_cuts(sampling)
        each = context.answers_each(len(response))
        logits = sampling.adjusted(self.logits(context)).repeat_interleave(each, 0)
        chosen = nn.functional.one_hot(response, self.kind.count).to(torch.bool)
        before = (chosen.cumsum(1) - chosen.to(torch.int64)) > 0
        left = logits[:, None].masked_fill(before, -torch.inf)
        states = context.repeat(each).pooled[:, None].expand(-1, self.kind.top, -1)
        return Categorical(left.log_softmax(2), states)

    def sample(
        self, context: Context, hashes: Tensor, sampling: Sampling = PLAIN, hear: Hear | None = None
    ) -> Answered:
        """Draws an order."""
        _refuse_cuts(sampling)
        logits = self.logits(context).repeat_interleave(context.answers_each(len(hashes)), 0)
        if sampling.temperature > 0:
            logits = sampling.adjusted(logits) + noise(logits, fold(hashes, 0))
        return logits.sort(dim=1, descending=True, stable=True).indices[:, : self.kind.top], None


def _refuse_cuts(sampling: Sampling) -> None:
    if sampling.top_k or sampling.top_p < 1 or sampling.epsilon:
        raise ValueError("a ranking orders all candidates: leave top_k, top_p and epsilon out")
