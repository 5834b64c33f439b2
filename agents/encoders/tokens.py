"""Words: an embedding for each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, grid, within
from mm_envs.spaces import Tokens
from mm_envs.tokenizers import blank, is_padding

_WIDTH = 32


class TokensEncoder(Encoder):
    """Encodes a ``Tokens`` entry: a token for each word, nothing for padding.

    Example:
        >>> from mm_envs.tokenizers import Vocabulary
        >>> encoder = TokensEncoder(Tokens(4, Vocabulary.of(["red", "green"])))
        >>> encoder(torch.tensor([[3, 4, 0, 0]])).mask.tolist()
        [[True, True, False, False]]
    """

    # One layer over embeddings is linear in each word: exact questions need combinations of words.
    pooling_layers = 2

    def __init__(self, space: Tokens) -> None:
        count = int(space.shape[0])
        super().__init__(_WIDTH, count, grid(count))
        self.vocabulary = len(space.vocabulary)
        self.words = nn.Embedding(self.vocabulary, _WIDTH)

    def forward(self, tokens: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of ids (n, count), of any dtype; words from ``length`` (n, 1) on are taken as padding."""
        tokens = tokens.long()
        if length is not None:
            there = within(length, tokens.shape[1])
            tokens = torch.where(there, tokens, blank(tokens.shape, tokens.device))
        embedded = self.words(tokens)
        return Encoded(embedded, None, self.positions, words=tokens, table=self.words.weight).masked(
            ~is_padding(tokens)
        )
