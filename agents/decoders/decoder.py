"""What a decoder is: it predicts each word from the context and the words before it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from agents.context import Context
from mm_envs.names import at_least


class Decoder(nn.Module):
    """Predicts each word from the context and the words before it.

    n answers to m contexts: neighbouring n / m rows are answers to one context. ``<pad>`` precedes the first
    word.

    Args:
        features: Numbers per fused vector of a context.
        words: The size of the vocabulary.
        hidden: H, the width of the hidden state.
        width: Numbers per word.
        attended: Numbers per token of a context; 0 if there are none.

    Attributes:
        out: The linear layer from a hidden state (n, H) to the logits of the next word (n, words).
    """

    before = 0  # the id of padding: nothing comes before the first word
    words: nn.Embedding
    out: nn.Linear

    def __init__(self, features: int, words: int, hidden: int, width: int, attended: int) -> None:
        super().__init__()
        for name, value in (("features", features), ("words", words), ("hidden", hidden), ("width", width)):
            at_least(name, value, 1)
        self.attended = attended
        self.words, self.out = nn.Embedding(words, width), nn.Linear(hidden, words)

    @abstractmethod
    def hidden(self, context: Context, tokens: Tensor) -> Tensor:
        """The state from which the word at each step is predicted, all steps at once (teacher forcing).

        (n, L, H): each depends on its context and the tokens (n, L) before it alone.
        """

    @abstractmethod
    def start(self, context: Context, answers: int = 1) -> Any:
        """The state before the first word of so many answers to each context."""

    @abstractmethod
    def step(self, before: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The logits of the next word, (n, words), and the state after it.

        Args:
            before: The word before, (n,) int64; ``<pad>`` at the first step.
            state: What ``start`` or the last step gave.
        """

    def forward(self, context: Context, tokens: Tensor) -> Tensor:
        """The logits of the word at each step, (n, L, words); the arguments are those of ``hidden``."""
        logits: Tensor = self.out(self.hidden(context, tokens))
        return logits

    def shifted(self, tokens: Tensor) -> Tensor:
        """The word before each word of answers (n, L)."""
        return torch.cat([torch.full_like(tokens[:, :1], self.before), tokens[:, :-1]], 1)


class TokenAttention(nn.Module):
    """Queries of n answers attend to the tokens of their m contexts, whose keys and values are made once.

    Multi-head attention (Vaswani et al., 2017, arXiv 1706.03762). The answers to one context are folded into
    the axis of the queries, so that keys and values are not repeated.
    """

    def __init__(self, hidden: int, attended: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads if hidden % heads == 0 else 1
        self.query, self.mix = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.memory = nn.Linear(attended, 2 * hidden)

    def remember(self, context: Context) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values (m, heads, s, H / heads) of the tokens of contexts, and their mask."""
        assert context.tokens is not None
        made = self.memory(context.tokens)
        key, value = (self._split(one.contiguous()) for one in made.chunk(2, 2))
        mask = None if context.mask is None else context.mask[:, None, None]
        return key, value, mask

    def forward(self, states: Tensor, memory: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        """``W attention(h)`` of states (n, L, H)."""
        key, value, mask = memory
        n, steps, hidden = states.shape
        queries = self._split(self.query(states).view(key.shape[0], -1, hidden))
        attended = nn.functional.scaled_dot_product_attention(queries, key, value, mask)
        # A context without any token gives no number.
        attended = attended if mask is None else attended.nan_to_num(0.0)
        found: Tensor = self.mix(attended.transpose(1, 2).reshape(n, steps, hidden))
        return found

    def weights(self, states: Tensor, memory: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        """The attention weights of states (n, L, H) over the tokens, (n, heads, L, s), to be looked at."""
        key, _, mask = memory
        n, steps, hidden = states.shape
        queries = self._split(self.query(states).view(len(key), -1, hidden))
        scores = queries @ key.transpose(2, 3) * queries.shape[-1] ** -0.5
        scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
        # A context without any token gives no number.
        weights = scores.softmax(3).nan_to_num(0.0)
        each: Tensor = weights.unflatten(2, (-1, steps)).transpose(1, 2).reshape(n, self.heads, steps, -1)
        return each

    def _split(self, rows: Tensor) -> Tensor:
        n, steps, _ = rows.shape
        return rows.view(n, steps, self.heads, -1).transpose(1, 2)
