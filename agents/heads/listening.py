"""Words of a reply look at the tokens of the context, as the words of a question do in ``word_patch``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.encoders import Encoded, Encoder
from agents.fusion.fusion import masked_softmax
from mm_envs.tokenizers import is_padding

_KEY, _VALUE = 48, 16
_FIRST_SHARPNESS, _FIRST_BIAS, _FIRST_SCALE = 2.0, -3.0, 2.0
_NOWHERE = -10.0


class Memory(NamedTuple):
    """What words look at: keys and values (m, s, ...) of the tokens of m contexts, and their mask (m, s)."""

    tokens: Tensor
    mask: Tensor | None


class Listening(nn.Module):
    """What the words of replies find among the tokens of their contexts.

    A word has a query q, a token j a key k_j and a value v_j. With ``s_j = q . k_j / sqrt(e)`` the word keeps
    ``sum_j softmax_j(t s_j) [k_j, v_j]`` and ``max_j s_j``; a reply keeps the mean over its words.

    Args:
        text: The encoder of the words.
        attended: Numbers per token of a context.

    Attributes:
        found: Numbers that a reply keeps.
    """

    found = _KEY + _VALUE + 1

    def __init__(self, text: Encoder, attended: int) -> None:
        super().__init__()
        self.query, self.tokens = nn.Linear(text.width, _KEY), nn.Linear(attended, _KEY + _VALUE)
        self.sharpness = nn.Parameter(torch.tensor(_FIRST_SHARPNESS).log())
        self.scale = nn.Parameter(torch.tensor(_FIRST_SCALE))
        self.bias = nn.Parameter(torch.full((text.vocabulary,), _FIRST_BIAS))

    def remember(self, context: Context) -> Memory:
        """What the replies to all answers to m contexts look at."""
        assert context.tokens is not None
        return Memory(self.tokens(context.tokens), context.mask)

    def forward(self, reply: Encoded, memory: Memory) -> Tensor:
        """What n replies find, (n, found); neighbouring n / m replies belong to one context."""
        n, words, _ = reply.tokens.shape
        # Replies are folded into the axis of the queries: keys and values are not repeated.
        queries = (self.query(reply.tokens) * _KEY**-0.5).view(len(memory.tokens), -1, _KEY)
        scores = queries @ memory.tokens[:, :, :_KEY].transpose(1, 2)
        mask = None if memory.mask is None else memory.mask[:, None]
        weights = masked_softmax(scores * self.sharpness.exp(), mask, 2)
        most = scores if mask is None else scores.masked_fill(~mask, _NOWHERE)
        found = torch.cat([weights @ memory.tokens, most.amax(2, keepdim=True)], 2).view(n, words, -1)
        if reply.mask is None:
            return found.mean(1)
        there = reply.mask[:, :, None].to(found.dtype)
        return (found * there).sum(1) / there.sum(1).clamp(min=1)

    def word_loss(self, reply: Encoded, memory: Memory) -> Tensor:
        """The word loss (m,): which words are heard in replies, from the tokens of the context alone.

        As ``WordPatch.with_word_loss``; neighbouring replies belong to one context.
        """
        assert reply.words is not None
        assert reply.table is not None
        scores = memory.tokens[:, :, :_KEY] @ (self.query(reply.table) * _KEY**-0.5).T
        if memory.mask is not None:
            scores = scores.masked_fill(~memory.mask[:, :, None], _NOWHERE)
        heard = reply.words.view(len(scores), -1)
        used = torch.zeros((len(scores), len(reply.table)), device=scores.device)
        used.scatter_add_(1, heard, (~is_padding(heard)).to(used.dtype))
        loss = nn.functional.binary_cross_entropy_with_logits
        return loss(self.scale * scores.amax(1) + self.bias, used.clamp(max=1), reduction="none").sum(1)
