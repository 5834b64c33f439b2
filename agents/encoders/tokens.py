"""Words: an embedding for each, by itself or in its context."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.encoders.attention import Block, sinusoids
from agents.encoders.encoded import Encoded, Encoder, grid, within
from agents.encoders.gru import MaskedGRU
from mm_envs.names import at_least
from mm_envs.spaces import Tokens
from mm_envs.tokenizers import blank, is_padding

_WIDTH = 32
_CONTEXT_WIDTH = 64


class TokensEncoder(Encoder):
    """Encodes a ``Tokens`` entry: a token for each word, nothing for padding.

    Args:
        space: The space of the entry.
        width: Numbers per word.

    Example:
        >>> from mm_envs.tokenizers import Vocabulary
        >>> encoder = TokensEncoder(Tokens(4, Vocabulary.of(["red", "green"])))
        >>> encoder(torch.tensor([[3, 4, 0, 0]])).mask.tolist()
        [[True, True, False, False]]
    """

    timed = True

    # One layer over embeddings is linear in each word: exact questions need combinations of words.
    pooling_layers = 2

    def __init__(self, space: Tokens, width: int = _WIDTH) -> None:
        at_least("width", width, 1)
        count = int(space.shape[0])
        super().__init__(width, count, grid(count))
        self.vocabulary = len(space.vocabulary)
        self.words = nn.Embedding(self.vocabulary, width)

    def forward(self, tokens: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of ids (n, count), of any dtype; words from ``length`` (n, 1) on are taken as padding."""
        tokens = tokens.long()
        if length is not None:
            there = within(length, tokens.shape[1])
            tokens = torch.where(there, tokens, blank(tokens.shape, tokens.device))
        mask = ~is_padding(tokens)
        embedded = self.in_context(self.words(tokens), mask)
        encoded = Encoded(embedded, None, self.positions, words=tokens, table=self.words.weight)
        return encoded.masked(mask)

    def in_context(self, words: Tensor, mask: Tensor) -> Tensor:
        """What becomes of embedded words (n, count, width) that exist by a mask (n, count) bool."""
        return words


class GRUTokensEncoder(TokensEncoder):
    """Encodes a ``Tokens`` entry by a bidirectional GRU over its words.

    Padding of any number and at any index changes no token.

    Example:
        >>> from mm_envs.tokenizers import Vocabulary
        >>> encoder = GRUTokensEncoder(Tokens(4, Vocabulary.of(["red", "green"])))
        >>> encoder(torch.tensor([[3, 4, 0, 0]])).tokens.shape
        torch.Size([1, 4, 64])
    """

    pooling_layers = 1

    def __init__(self, space: Tokens, width: int = _CONTEXT_WIDTH) -> None:
        super().__init__(space, width)
        self.gru = MaskedGRU(width, width)

    def in_context(self, words: Tensor, mask: Tensor) -> Tensor:
        """Outputs (n, count, width) of both directions."""
        outputs: Tensor = self.gru(words, mask)
        return outputs


class TransformerTokensEncoder(TokensEncoder):
    """Encodes a ``Tokens`` entry by a small pre-norm Transformer (Vaswani et al., 2017, arXiv 1706.03762).

    Words are numbered without the padding before them, so that padding of any number and at any index changes
    no token.

    Args:
        space: The space of the entry.
        width: Numbers per word, even and a multiple of the heads.
        layers: The number of blocks.
        heads: The number of heads.

    Example:
        >>> from mm_envs.tokenizers import Vocabulary
        >>> encoder = TransformerTokensEncoder(Tokens(4, Vocabulary.of(["red", "green"])), layers=1)
        >>> encoder(torch.tensor([[3, 4, 0, 0]])).tokens.shape
        torch.Size([1, 4, 64])
    """

    pooling_layers = 1

    def __init__(self, space: Tokens, width: int = _CONTEXT_WIDTH, layers: int = 2, heads: int = 4) -> None:
        at_least("layers", layers, 1)
        if width % 2:
            raise ValueError(f"width={width} is odd: give an even number, for sines and cosines of positions")
        super().__init__(space, width)
        self.layers = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def blocks(self) -> list[nn.Module]:
        """The embedding, then the layers; the last norm is part of the last layer."""
        return [self.words, *self.layers[:-1], nn.ModuleList([self.layers[-1], self.norm])]

    def in_context(self, words: Tensor, mask: Tensor) -> Tensor:
        """Words (n, count, width) that attend to each other."""
        tokens = words + sinusoids((mask.cumsum(1) - 1).clamp_(min=0), self.width)
        # A row without a word attends to padding instead of to nothing, which has no average.
        keys = mask | ~mask.any(1, keepdim=True)
        for layer in self.layers:
            tokens = layer(tokens, keys)
        outputs: Tensor = self.norm(tokens)
        return outputs
