"""Candidates: each is encoded by itself, with the same weights."""

from __future__ import annotations

from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, within
from mm_envs.spaces import Candidates

WIDTH = 128


class CandidatesEncoder(Encoder):
    """Encodes a ``Candidates`` entry: one token for each candidate, in their order and without positions.

    Candidates in another order have the same tokens in that order. A length is their number: candidates from
    there on do not exist.

    Example:
        >>> import torch
        >>> from mm_envs.spaces import Image
        >>> from agents.encoders import make_encoder
        >>> encoder = make_encoder(Candidates(Image(36, 36), 8))
        >>> encoder(torch.zeros(2, 8, 3, 36, 36, dtype=torch.uint8)).tokens.shape
        torch.Size([2, 8, 128])
    """

    def __init__(self, space: Candidates, single: nn.Module) -> None:
        super().__init__(WIDTH, int(space.shape[0]))
        self.single = single

    def forward(self, candidates: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of candidates (n, count, ...), of which the first ``length`` (n, 1) exist."""
        each = self.single(candidates.flatten(0, 1)).view(-1, self.count, self.width)
        encoded = Encoded(each)
        return encoded if length is None else encoded.masked(within(length, self.count))
