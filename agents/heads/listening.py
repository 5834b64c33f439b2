"""Words of a reply look at the tokens of the context, as the words of a question do in ``word_patch``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.encoders import Encoded, Encoder
from agents.fusion.fusion import masked_softmax
from agents.fusion.looking import KEY, NOWHERE, VALUE, Looking


class Memory(NamedTuple):
    """What words look at: keys and values (m, s, ...) of the tokens of m contexts, and their mask (m, s)."""

    tokens: Tensor
    mask: Tensor | None


class Listening(Looking):
    """What the words of replies find among the tokens of their contexts.

    A word has a query q, a token j a key k_j and a value v_j. With ``s_j = q . k_j / sqrt(e)`` the word keeps
    ``sum_j softmax_j(t s_j) [k_j, v_j]`` and ``max_j s_j``; a reply keeps the mean over its words.

    Args:
        text: The encoder of the words.
        attended: Numbers per token of a context.

    Attributes:
        found: Numbers that a reply keeps.
    """

    found = KEY + VALUE + 1

    def __init__(self, text: Encoder, attended: int) -> None:
        super().__init__(text)
        self.tokens = nn.Linear(attended, KEY + VALUE)

    def remember(self, context: Context) -> Memory:
        """What the replies to all answers to m contexts look at."""
        assert context.tokens is not None
        return Memory(self.tokens(context.tokens), context.mask)

    def forward(self, reply: Encoded, memory: Memory) -> Tensor:
        """What n replies find, (n, found); neighbouring n / m replies belong to one context."""
        n, words, _ = reply.tokens.shape
        # Replies are folded into the axis of the queries: keys and values are not repeated.
        queries = self.queries(reply.tokens).view(len(memory.tokens), -1, KEY)
        scores = queries @ memory.tokens[:, :, :KEY].transpose(1, 2)
        mask = None if memory.mask is None else memory.mask[:, None]
        weights = masked_softmax(scores * self.sharpness.exp(), mask, 2)
        most = scores if mask is None else scores.masked_fill(~mask, NOWHERE)
        found = torch.cat([weights @ memory.tokens, most.amax(2, keepdim=True)], 2).view(n, words, -1)
        if reply.mask is None:
            return found.mean(1)
        there = reply.mask[:, :, None].to(found.dtype)
        return (found * there).sum(1) / there.sum(1).clamp(min=1)

    def heard_loss(self, reply: Encoded, memory: Memory) -> Tensor:
        """The word loss (m,) of all replies to each context, see ``Looking.word_loss``."""
        return self.word_loss(reply, memory.tokens[:, :, :KEY], memory.mask)
