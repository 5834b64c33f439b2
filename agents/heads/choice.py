"""One of several answers."""

from __future__ import annotations

from torch import Tensor

from agents.heads.head import Context, Hear, ScoredHead, Turns, draw
from mm_envs.answers import Answered
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
