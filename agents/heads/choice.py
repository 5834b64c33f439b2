"""One of several answers, or an order of candidates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.heads.head import Context, Hear, ScoredHead, Turns, draw, noise
from mm_envs.answers import Answered, Ranking
from mm_envs.random import fold


class ChoiceHead(ScoredHead):
    """A softmax over the choices."""

    def log_probs(
        self, context: Context, response: Tensor, length: Tensor | None, turns: Turns | None
    ) -> Tensor:
        """The log-probability of each choice, (n, 1)."""
        return self.logits(context).log_softmax(1).gather(1, response[:, None])

    def sample(self, context: Context, hashes: Tensor, temperature: float, hear: Hear | None) -> Answered:
        """Draws a choice."""
        return draw(self.logits(context), fold(hashes, 0), temperature), None


class RankingHead(ScoredHead):
    """The Plackett-Luce model: each position is a softmax over the candidates that are left.

    Luce, "Individual choice behavior" (1959); Plackett, "The analysis of permutations" (1975). A draw sorts
    the scores after Gumbel noise (Yellott, 1977).
    """

    kind: Ranking

    def log_probs(
        self, context: Context, response: Tensor, length: Tensor | None, turns: Turns | None
    ) -> Tensor:
        """The log-probability of each position given those before it, (n, top)."""
        logits = self.logits(context)
        chosen = nn.functional.one_hot(response, self.kind.count).to(torch.bool)
        before = (chosen.cumsum(1) - chosen.to(torch.int64)) > 0
        left = logits[:, None].masked_fill(before, -torch.inf)
        return left.log_softmax(2).gather(2, response[:, :, None])[:, :, 0]

    def sample(self, context: Context, hashes: Tensor, temperature: float, hear: Hear | None) -> Answered:
        """Draws an order."""
        logits = self.logits(context)
        if temperature > 0:
            logits = logits + temperature * noise(logits, fold(hashes, 0))
        return logits.sort(dim=1, descending=True, stable=True).indices[:, : self.kind.top], None
