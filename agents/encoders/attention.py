"""Self-attention and pre-norm Transformer blocks with a mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017, arXiv 1706.03762).

    The projections are linear layers, which low-rank adapters can be attached to.

    Args:
        width: Numbers per token.
        heads: The number of heads, a divisor of the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"width={width} is not a multiple of heads={heads}: change one of them")
        self.heads = heads
        self.projections = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor, keys: Tensor | None = None) -> Tensor:
        """Tokens (n, s, width); ``keys`` (n, s) bool are those that are attended to, at least one a row."""
        n, s, width = tokens.shape
        query, key, value = self.projections(tokens).view(n, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        allowed = None if keys is None else keys[:, None, None, :]
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, allowed)
        outputs: Tensor = self.output(mixed.transpose(1, 2).reshape(n, s, width))
        return outputs


class Block(nn.Module):
    """A pre-norm Transformer block: attention and a hidden layer, each with a residual connection.

    Layer norm before each part keeps training stable without a warm-up (Xiong et al., 2020, arXiv
    2002.04745).

    Example:
        >>> Block(width=16, heads=4)(torch.zeros(2, 5, 16)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.first_norm, self.attention = nn.LayerNorm(width), SelfAttention(width, heads)
        self.second_norm = nn.LayerNorm(width)
        self.hidden = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor, keys: Tensor | None = None) -> Tensor:
        """Tokens (n, s, width); the arguments are those of ``SelfAttention``."""
        tokens = tokens + self.attention(self.first_norm(tokens), keys)
        outputs: Tensor = tokens + self.hidden(self.second_norm(tokens))
        return outputs


def sinusoids(index: Tensor, width: int) -> Tensor:
    """Sinusoidal position embeddings (..., width) of indices (...), float32 (Vaswani et al., 2017).

    Sines, then cosines, of the index at wavelengths from 2 pi to 20,000 pi; the width is even.

    Example:
        >>> sinusoids(torch.tensor([0]), 4).tolist()
        [[0.0, 0.0, 1.0, 1.0]]
    """
    rates = 10_000.0 ** -(torch.arange(0, width, 2, device=index.device) / width)
    angles = index[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)
