"""The context of an episode as one row of numbers, encoded once for all answers to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.encoders import Encoder
from agents.fusion import FusedEncoder


class ContextEncoder(nn.Module):
    """Encodes contexts: the fused vector and, where answers refer to candidates, a vector for each of them.

    Contexts are cached, repeated and indexed as plain tensors.

    Args:
        spaces: The spaces of one context, by observation key.
        features: F, numbers of the fused vector and of each candidate.
        among: The key of the entry whose candidates are needed.

    Attributes:
        width: Numbers per context.

    Example:
        >>> from mm_envs.spaces import Vector
        >>> encoder = ContextEncoder({"point": Vector(2)}, features=8)
        >>> encoded = encoder({"point": torch.zeros(3, 2)})
        >>> encoder.pooled(encoded).shape, encoder.candidates(encoded)
        (torch.Size([3, 8]), None)
    """

    def __init__(self, spaces: Mapping[str, gym.Space[Any]], features: int, among: str | None = None) -> None:
        super().__init__()
        self.features, self.among = features, among
        self.fused = FusedEncoder(
            gym.spaces.Dict(dict(spaces)), features, keep=() if among is None else (among,)
        )
        self.width, self.project = features, None
        if among is not None:
            entry = self.fused.encoders[among]
            assert isinstance(entry, Encoder)
            self.project = nn.Linear(entry.width, features)
            self.width += features * entry.count

    def forward(self, contexts: Mapping[str, Tensor]) -> Tensor:
        """One row of numbers for each of n contexts, (n, width)."""
        if self.project is None or self.among is None:
            pooled: Tensor = self.fused(contexts)
            return pooled
        fused = self.fused.fused(contexts)
        candidates = self.project(fused.entries[self.among].tokens)
        return torch.cat([fused.pooled, candidates.flatten(1)], 1)

    def pooled(self, encoded: Tensor) -> Tensor:
        """The fused vectors of encoded contexts, (n, F)."""
        return encoded[:, : self.features]

    def candidates(self, encoded: Tensor) -> Tensor | None:
        """The vectors of their candidates, (n, count, F); None where answers refer to none."""
        if self.project is None:
            return None
        return encoded[:, self.features :].view(len(encoded), -1, self.features)
