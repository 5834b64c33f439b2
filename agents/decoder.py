"""Words out of features: a recurrent decoder whose input at every word includes the context."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mm_envs.names import at_least


class Decoder(nn.Module):
    """Predicts each word from the context and the words before it.

    A gated recurrent unit (Cho et al., 2014, arXiv 1406.1078) takes the word before and the context; the
    context gives its first state as well. ``<pad>`` precedes the first word.

    Args:
        features: Numbers per context.
        words: The size of the vocabulary.
        hidden: H, the width of the hidden state.
        width: Numbers per word.

    Attributes:
        out: The linear layer from a hidden state (n, H) to the logits of the next word (n, words).

    Example:
        >>> decoder = Decoder(features=8, words=5, hidden=16)
        >>> context, tokens = torch.zeros(3, 8), torch.tensor([[3, 4, 1, 0]] * 3)
        >>> decoder.hidden(context, tokens).shape, decoder(context, tokens).shape
        (torch.Size([3, 4, 16]), torch.Size([3, 4, 5]))
    """

    before = 0  # the id of padding: nothing comes before the first word

    def __init__(self, features: int, words: int, hidden: int = 256, width: int = 64) -> None:
        super().__init__()
        for name, value in (("features", features), ("words", words), ("hidden", hidden), ("width", width)):
            at_least(name, value, 1)
        self.words = nn.Embedding(words, width)
        self.context = nn.Linear(features, width)
        self.first = nn.Linear(features, hidden)
        self.cell = nn.GRU(width, hidden, batch_first=True)
        self.out = nn.Linear(hidden, words)

    def hidden(self, context: Tensor, tokens: Tensor) -> Tensor:
        """The state from which the word at each step is predicted, all steps at once (teacher forcing).

        (n, L, H): each depends on the context (n, features) and the tokens (n, L) before it alone.
        """
        before = torch.cat([torch.full_like(tokens[:, :1], self.before), tokens[:, :-1]], 1)
        hidden, _ = self._read(context, before, self.start(context))
        return hidden

    def forward(self, context: Tensor, tokens: Tensor) -> Tensor:
        """The logits of the word at each step, (n, L, words); the arguments are those of ``hidden``."""
        logits: Tensor = self.out(self.hidden(context, tokens))
        return logits

    def start(self, context: Tensor) -> Tensor:
        """The state before the first word, (1, n, H)."""
        state: Tensor = self.first(context).tanh()
        return state[None]

    def step(self, context: Tensor, before: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of the next word, (n, words), and the state after it.

        Args:
            context: (n, features).
            before: The word before, (n,) int64; ``<pad>`` at the first step.
            state: What ``start`` or the last step gave.
        """
        hidden, state = self._read(context, before[:, None], state)
        return self.out(hidden[:, 0]), state

    def _read(self, context: Tensor, before: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, state = self.cell(self.words(before) + self.context(context)[:, None], state)
        # The output of a GRU with the batch first is not contiguous, and for such an input of three
        # dimensions torch's linear layer picks its kernel by whether the weight requires a gradient: on some
        # processors a loaded policy would differ from the saved one in the last bit.
        return hidden.contiguous(), state
