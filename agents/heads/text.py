"""Words one after another."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.context import Context
from agents.decoders import make_decoder
from agents.heads.head import AnswerHead, Hear, Turns, draw
from agents.heads.parts import Categorical
from agents.heads.sampling import PLAIN, Sampling
from mm_envs.answers import Answered, Text
from mm_envs.arrays import on_host
from mm_envs.random import fold
from mm_envs.tokenizers import ends, is_end


class TextHead(AnswerHead):
    """A decoder: a softmax over the next word at each step.

    ``attended`` are the numbers per token of a context, 0 if there are no tokens.
    """

    attends = True

    def __init__(
        self, kind: Text, features: int, hidden: int, decoder: str = "gru", attended: int = 0
    ) -> None:
        super().__init__()
        self.kind, self.width = kind, hidden
        sizes = {"hidden": hidden, "attended": attended, "steps": kind.steps}
        self.decoder = make_decoder(decoder, features, len(kind.vocabulary), **sizes)

    def logits(self, context: Context, response: Tensor) -> Tensor:
        """Unnormalised log-probabilities of the word at each step, (n, L, words)."""
        scores: Tensor = self.decoder(context, response)
        return scores

    def distribution(
        self,
        context: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Turns | None = None,
        sampling: Sampling = PLAIN,
    ) -> Categorical:
        """The word of each step, ``<eos>`` included; nothing is written behind it."""
        there = self.there(response, length)
        states = self.decoder.hidden(context, response)
        log_probs = sampling.adjusted(self.decoder.out(states)).log_softmax(2)
        return Categorical(log_probs, states, there)

    def there(self, response: Tensor, length: Tensor | None = None) -> Tensor:
        """Which words of answers were written, (n, L) bool: those up to ``<eos>``."""
        length = self.kind.finish(response)[1] if length is None else length
        assert length is not None
        return self.kind.written(length, response.shape[1])

    def sample(
        self, context: Context, hashes: Tensor, sampling: Sampling = PLAIN, hear: Hear | None = None
    ) -> Answered:
        """Draws word after word; on the CPU until all answers have ended."""
        state = self.decoder.start(context, context.answers_each(len(hashes)))
        word = torch.full_like(hashes, self.decoder.before)
        written = ends((len(hashes), self.kind.steps), word.device)
        ended = torch.zeros_like(word, dtype=torch.bool)
        for step in range(self.kind.steps):
            scores, state = self.decoder.step(word, state)
            written[:, step] = word = draw(scores, fold(hashes, step), sampling)
            ended |= is_end(word)
            if on_host(ended) and bool(ended.all()):
                break
        # What was drawn behind the end is removed.
        return self.kind.finish(written)
