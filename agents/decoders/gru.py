"""A recurrent decoder; attention to the context lies outside of the recurrence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.decoders.decoder import Decoder, TokenAttention


class GRUState(NamedTuple):
    """The state between two words: of the recurrence (1, n, H), what is added to words, and memory."""

    state: Tensor
    added: Tensor
    memory: tuple[Tensor, Tensor, Tensor | None] | None


class GRUDecoder(Decoder):
    """A gated recurrent unit (Cho et al., 2014, arXiv 1406.1078) over words.

    It takes the word before and the context, which gives its first state as well. Its states attend to the
    tokens of the context afterwards: ``h = ReLU(g + W attention(g, tokens))``. Nothing of that is fed back,
    so all words of an answer attend at once.

    Example:
        >>> decoder = GRUDecoder(features=8, words=5, hidden=16)
        >>> context, tokens = Context(torch.zeros(3, 8)), torch.tensor([[3, 4, 1, 0]] * 6)
        >>> decoder.hidden(context, tokens).shape, decoder(context, tokens).shape
        (torch.Size([6, 4, 16]), torch.Size([6, 4, 5]))
    """

    def __init__(
        self,
        features: int,
        words: int,
        hidden: int = 256,
        width: int = 64,
        attended: int = 0,
        steps: int | None = None,
    ) -> None:
        super().__init__(features, words, hidden, width, attended)
        self.context = nn.Linear(features, width)
        self.first = nn.Linear(features, hidden)
        self.cell = nn.GRU(width, hidden, batch_first=True)
        self.look = TokenAttention(hidden, attended) if attended else None

    def hidden(self, context: Context, tokens: Tensor) -> Tensor:
        """See ``Decoder.hidden``."""
        state = self.start(context, context.answers_each(len(tokens)))
        return self._read(self.shifted(tokens), state)[0]

    def start(self, context: Context, answers: int = 1) -> GRUState:
        """See ``Decoder.start``."""
        first, added = self.first(context.pooled).tanh(), self.context(context.pooled)
        if answers > 1:
            first, added = first.repeat_interleave(answers, 0), added.repeat_interleave(answers, 0)
        memory = None if self.look is None else self.look.remember(context)
        return GRUState(first[None], added, memory)

    def step(self, before: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:
        """See ``Decoder.step``."""
        hidden, after = self._read(before[:, None], state)
        return self.out(hidden[:, 0]), after

    def _read(self, before: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:
        hidden, after = self.cell(self.words(before) + state.added[:, None], state.state)
        # The output of a GRU with the batch first is not contiguous, and for such an input of three
        # dimensions torch's linear layer picks its kernel by whether the weight requires a gradient: on some
        # processors a loaded policy would differ from the saved one in the last bit.
        hidden = hidden.contiguous()
        if self.look is not None:
            assert state.memory is not None
            hidden = torch.relu(hidden + self.look(hidden, state.memory))
        return hidden, state._replace(state=after)
