"""One of several answers."""

from __future__ import annotations

from torch import Tensor

from agents.heads.head import AnswerHead, Context, Hear, Turns, draw, make_scores
from mm_envs.answers import Answered, Choice
from mm_envs.random import fold


class ChoiceHead(AnswerHead):
    """A softmax over the choices: of a linear layer, or of a pointer where they are candidates.

    Args:
        kind: The kind of the answers.
        features: F, numbers per context.
        hidden: Numbers of hidden layers.
    """

    def __init__(self, kind: Choice, features: int, hidden: int) -> None:
        super().__init__()
        self.out = make_scores(len(kind.names), features, hidden, kind.among)

    def logits(self, context: Context) -> Tensor:
        """Unnormalised log-probabilities of the choices, (n, choices)."""
        scores: Tensor = self.out(context)
        return scores

    def log_probs(
        self, context: Context, response: Tensor, length: Tensor | None, turns: Turns | None
    ) -> Tensor:
        """The log-probability of each choice, (n, 1)."""
        return self.logits(context).log_softmax(1).gather(1, response[:, None])

    def sample(self, context: Context, hashes: Tensor, temperature: float, hear: Hear | None) -> Answered:
        """Draws a choice."""
        return draw(self.logits(context), fold(hashes, 0), temperature), None
