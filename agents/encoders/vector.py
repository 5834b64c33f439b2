"""Numbers: a linear layer."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, within

_WIDTH = 64


class VectorEncoder(Encoder):
    """Encodes a ``Vector`` entry or any other ``Box``, flattened; finite bounds are scaled to -1 to 1.

    Example:
        >>> encoder = VectorEncoder(gym.spaces.Box(0.0, 10.0, (3,)))
        >>> encoder(torch.tensor([[0.0, 5.0, 10.0]])).tokens.shape
        torch.Size([1, 1, 64])
    """

    centre: Tensor
    reach: Tensor

    def __init__(self, space: gym.spaces.Box) -> None:
        super().__init__(_WIDTH, 1)
        low, high = space.low.astype(np.float64).ravel(), space.high.astype(np.float64).ravel()
        bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
        centre, reach = np.zeros(low.size), np.ones(low.size)
        centre[bounded] = (low[bounded] + high[bounded]) / 2
        reach[bounded] = (high[bounded] - low[bounded]) / 2
        self.register_buffer("centre", torch.tensor(centre, dtype=torch.float32), persistent=False)
        self.register_buffer("reach", torch.tensor(reach, dtype=torch.float32), persistent=False)
        self.net = nn.Sequential(nn.Linear(low.size, _WIDTH), nn.ReLU())

    def forward(self, vector: Tensor, length: Tensor | None = None) -> Encoded:
        """One token of numbers (n, ...); those from ``length`` (n, 1) on count as missing."""
        scaled = (vector.float().flatten(1) - self.centre) / self.reach
        if length is not None:
            scaled = scaled * within(length, scaled.shape[1])
        return Encoded(self.net(scaled)[:, None])
