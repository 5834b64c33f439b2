"""Numbers: two linear layers."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn


class VectorEncoder(nn.Module):
    """Encodes a ``Vector`` entry or any other ``Box``, flattened; finite bounds are scaled to -1 to 1.

    Args:
        space: The space of one entry.
        features: How many numbers to give per row.

    Example:
        >>> encoder = VectorEncoder(gym.spaces.Box(0.0, 10.0, (3,)), features=8)
        >>> encoder(torch.tensor([[0.0, 5.0, 10.0]])).shape
        torch.Size([1, 8])
    """

    centre: Tensor
    reach: Tensor

    def __init__(self, space: gym.spaces.Box, features: int) -> None:
        super().__init__()
        low, high = space.low.astype(np.float64).ravel(), space.high.astype(np.float64).ravel()
        bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
        centre, reach = np.zeros(low.size), np.ones(low.size)
        centre[bounded] = (low[bounded] + high[bounded]) / 2
        reach[bounded] = (high[bounded] - low[bounded]) / 2
        self.register_buffer("centre", torch.tensor(centre, dtype=torch.float32), persistent=False)
        self.register_buffer("reach", torch.tensor(reach, dtype=torch.float32), persistent=False)
        self.net = nn.Sequential(
            nn.Linear(low.size, features), nn.ReLU(), nn.Linear(features, features), nn.ReLU()
        )

    def forward(self, vector: Tensor, length: Tensor | None = None) -> Tensor:
        """Features (n, features) of numbers (n, ...); those from ``length`` (n, 1) on count as missing."""
        scaled = (vector.float().flatten(1) - self.centre) / self.reach
        if length is not None:
            scaled = scaled * (torch.arange(scaled.shape[1], device=scaled.device) < length.reshape(-1, 1))
        features: Tensor = self.net(scaled)
        return features
