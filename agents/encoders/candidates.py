"""Candidates: each is encoded by itself, with the same weights."""

from __future__ import annotations

from torch import Tensor

from agents.encoders.encoded import Encoded, Encoder
from mm_envs.spaces import Candidates

_WIDTH = 128


class CandidatesEncoder(Encoder):
    """Encodes a ``Candidates`` entry: one token for each candidate, in their order and without positions.

    A set in another order has the same tokens in that order.

    Args:
        space: The space of all candidates.

    Attributes:
        width: Numbers per token.
        count: The number of candidates.

    Example:
        >>> import torch
        >>> from mm_envs.spaces import Image
        >>> encoder = CandidatesEncoder(Candidates(Image(36, 36), 8))
        >>> encoder(torch.zeros(2, 8, 3, 36, 36, dtype=torch.uint8)).tokens.shape
        torch.Size([2, 8, 128])
    """

    def __init__(self, space: Candidates) -> None:
        super().__init__()
        from agents.encoders import PooledEncoder

        self.width, self.count = _WIDTH, int(space.shape[0])
        self.single = PooledEncoder(space.single, _WIDTH)

    def forward(self, candidates: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of candidates (n, count, ...)."""
        each = self.single(candidates.flatten(0, 1))
        return Encoded(each.view(len(candidates), self.count, self.width))
