"""A Transformer decoder with a cache of keys and values."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.decoders.decoder import Decoder, TokenAttention

_LAYERS, _HEADS = 2, 4

Memory = tuple[Tensor, Tensor, Tensor | None]


class TransformerState(NamedTuple):
    """The state between two words: keys and values of the words so far by layer, and of the context.

    ``steps`` is the number of words so far.
    """

    cache: tuple[tuple[Tensor, Tensor] | None, ...]
    added: Tensor
    memory: tuple[Memory | None, ...]
    steps: int


class TransformerDecoder(Decoder):
    """A pre-norm Transformer over words (Vaswani et al., 2017, arXiv 1706.03762; Xiong et al., 2020,
    arXiv 2002.04745).

    A word is its embedding plus that of its index plus a linear map of the fused vector of the context. Each
    of two layers attends to the words before, then to the tokens of the context, then has a hidden layer.
    Writing word by word keeps the keys and values of the words before.

    Args:
        features: Numbers per fused vector.
        words: The size of the vocabulary.
        hidden: H, numbers per state.
        width: Not used: words have H numbers.
        attended: Numbers per token of a context; 0 if there are none.
        steps: The largest number of words.

    Example:
        >>> decoder = TransformerDecoder(features=8, words=5, hidden=16, steps=4)
        >>> decoder(Context(torch.zeros(3, 8)), torch.tensor([[3, 4, 1, 0]] * 6)).shape
        torch.Size([6, 4, 5])
    """

    def __init__(
        self,
        features: int,
        words: int,
        hidden: int = 256,
        width: int = 64,
        attended: int = 0,
        steps: int = 64,
    ) -> None:
        super().__init__(features, words, hidden, hidden, attended)
        self.index = nn.Embedding(steps, hidden)
        self.context = nn.Linear(features, hidden)
        self.layers = nn.ModuleList(Layer(hidden, attended) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(hidden)

    def hidden(self, context: Context, tokens: Tensor) -> Tensor:
        """See ``Decoder.hidden``."""
        state = self.start(context, context.answers_each(len(tokens)))
        return self._read(self.shifted(tokens), state)[0]

    def start(self, context: Context, answers: int = 1) -> TransformerState:
        """See ``Decoder.start``."""
        added = self.context(context.pooled).repeat_interleave(answers, 0)
        looks = [one.look for one in self.layers]
        memory = tuple(look.remember(context) if isinstance(look, TokenAttention) else None for look in looks)
        return TransformerState((None,) * len(self.layers), added, memory, 0)

    def step(self, before: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """See ``Decoder.step``."""
        hidden, after = self._read(before[:, None], state)
        return self.out(hidden[:, 0]), after

    def _read(self, before: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        steps = before.shape[1]
        index = torch.arange(state.steps, state.steps + steps, device=before.device)
        hidden = self.words(before) + self.index(index) + state.added[:, None]
        cache = []
        for layer, known, memory in zip(self.layers, state.cache, state.memory, strict=True):
            hidden, kept = layer(hidden, known, memory)
            cache.append(kept)
        return self.norm(hidden), TransformerState(
            tuple(cache), state.added, state.memory, state.steps + steps
        )


class Layer(nn.Module):
    """One layer: attention to the words before, to the context, and a hidden layer, each added."""

    def __init__(self, hidden: int, attended: int) -> None:
        super().__init__()
        self.heads = _HEADS if hidden % _HEADS == 0 else 1
        self.before, self.after = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.project, self.mix = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.look = TokenAttention(hidden, attended) if attended else None
        self.between = nn.LayerNorm(hidden) if attended else None
        self.net = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, hidden))

    def forward(
        self, hidden: Tensor, known: tuple[Tensor, Tensor] | None, memory: Memory | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """States (n, L, H), and the keys and values of all words up to them."""
        made = self.project(self.before(hidden)).unflatten(2, (3, self.heads, -1))
        query, key, value = made.permute(2, 0, 3, 1, 4)
        if known is not None:
            key, value = torch.cat([known[0], key], 2), torch.cat([known[1], value], 2)
        # One word after a cache may attend to everything; several words at once are the whole answer.
        attend = nn.functional.scaled_dot_product_attention
        attended = attend(query, key, value, is_causal=known is None and hidden.shape[1] > 1)
        hidden = hidden + self.mix(attended.transpose(1, 2).flatten(2))
        if self.look is not None:
            assert memory is not None
            assert self.between is not None
            hidden = hidden + self.look(self.between(hidden), memory)
        return hidden + self.net(self.after(hidden)), (key, value)
