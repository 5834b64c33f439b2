"""Words one after another."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.decoder import Decoder
from agents.heads.head import AnswerHead, Context, Hear, Turns, draw
from mm_envs.answers import Answered, Text
from mm_envs.random import fold


class TextHead(AnswerHead):
    """A decoder: a softmax over the next word at each step."""

    def __init__(self, kind: Text, features: int, hidden: int) -> None:
        super().__init__()
        self.kind = kind
        self.decoder = Decoder(features, len(kind.vocabulary), hidden)

    def logits(self, context: Context, response: Tensor) -> Tensor:
        """Unnormalised log-probabilities of the word at each step, (n, L, words)."""
        scores: Tensor = self.decoder(context.pooled, response)
        return scores

    def log_probs(
        self, context: Context, response: Tensor, length: Tensor | None, turns: Turns | None
    ) -> Tensor:
        """The log-probability of each word, ``<eos>`` included, (n, L); 0 behind it."""
        logits = self.logits(context, response)
        each = logits.log_softmax(2).gather(2, response[:, :, None])[:, :, 0]
        return torch.where(self.there(response, length), each, 0)

    def there(self, response: Tensor, length: Tensor | None = None) -> Tensor:
        """Which words of answers were written, (n, L) bool: those up to ``<eos>``."""
        length = self.kind.finish(response)[1] if length is None else length
        assert length is not None
        return self.kind.written(length, response.shape[1])

    def sample(self, context: Context, hashes: Tensor, temperature: float, hear: Hear | None) -> Answered:
        """Draws word after word."""
        state, words = self.decoder.start(context.pooled), []
        word = torch.full_like(hashes, self.decoder.before)
        for step in range(self.kind.steps):
            scores, state = self.decoder.step(context.pooled, word, state)
            word = draw(scores, fold(hashes, step), temperature)
            words.append(word)
        # What was drawn behind the end is removed.
        return self.kind.finish(torch.stack(words, 1))
