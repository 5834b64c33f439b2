"""Words: embeddings side by side, so that their order is seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mm_envs.spaces import Tokens
from mm_envs.tokenizers import PAD


class TokensEncoder(nn.Module):
    """Encodes a ``Tokens`` entry: every position has its own linear map of the word that stands there.

    That is a linear layer over the concatenated embeddings, then a second one: quick on every device, and
    exact about order, which questions of a fixed pattern and answers in the making need. Padding is zero.

    Args:
        space: The space of one text; its vocabulary decides the number of embeddings.
        features: How many numbers to give per text.
        width: Numbers per word.

    Example:
        >>> from mm_envs.tokenizers import Vocabulary
        >>> space = Tokens(4, Vocabulary.of(["red", "green"]))
        >>> encoder = TokensEncoder(space, features=8)
        >>> encoder(torch.tensor([[3, 4, 0, 0]])).shape
        torch.Size([1, 8])
    """

    def __init__(self, space: Tokens, features: int, width: int = 32) -> None:
        super().__init__()
        self.words = nn.Embedding(len(space.vocabulary), width, padding_idx=PAD)
        self.net = nn.Sequential(
            nn.Linear(space.shape[0] * width, features),
            nn.ReLU(),
            nn.Linear(features, features),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor, length: Tensor | None = None) -> Tensor:
        """Features (n, features) of token ids (n, length); floats with whole values are taken too.

        Words from ``length`` (n, 1) on are taken as padding.
        """
        tokens = tokens.long()
        if length is not None:
            there = torch.arange(tokens.shape[1], device=tokens.device) < length.reshape(-1, 1)
            tokens = torch.where(there, tokens, PAD)
        features: Tensor = self.net(self.words(tokens).flatten(1))
        return features
