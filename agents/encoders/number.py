"""Numbers: a count, a choice, a vector."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, within
from mm_envs.spaces import Count

_MAX_TABLE = 1024
_WIDTH = 64


class CountEncoder(Encoder):
    """Encodes a ``Count`` entry: an embedding of the number, or its ratio to a maximum that is large.

    Example:
        >>> import torch
        >>> CountEncoder(Count(5))(torch.tensor([[0], [5]])).tokens.shape
        torch.Size([2, 1, 64])
    """

    def __init__(self, space: Count) -> None:
        super().__init__(_WIDTH, 1)
        self.maximum = int(space.high[0])
        in_table = self.maximum < _MAX_TABLE
        self.net: nn.Module = nn.Embedding(self.maximum + 1, _WIDTH) if in_table else nn.Linear(1, _WIDTH)

    def forward(self, count: Tensor, length: Tensor | None = None) -> Encoded:
        """One token of counts (n, 1), whole numbers of any dtype."""
        if isinstance(self.net, nn.Embedding):
            return Encoded(self.net(count.long().flatten())[:, None])
        return Encoded(self.net(count.float().reshape(-1, 1) / self.maximum)[:, None])


class ChoiceEncoder(Encoder):
    """Encodes a ``Discrete`` entry by an embedding.

    Example:
        >>> import torch
        >>> ChoiceEncoder(gym.spaces.Discrete(4))(torch.tensor([0, 3])).tokens.shape
        torch.Size([2, 1, 64])
    """

    def __init__(self, space: gym.spaces.Discrete) -> None:
        super().__init__(_WIDTH, 1)
        self.n, self.start = int(space.n), int(space.start)
        self.net = nn.Linear(self.n, _WIDTH)

    def forward(self, choice: Tensor, length: Tensor | None = None) -> Encoded:
        """One token of choices (n,) or (n, 1), int64; or of one-hot floats (n, choices)."""
        # Stable-Baselines3 hands a Discrete entry over as one-hot floats.
        if not choice.is_floating_point():
            choice = nn.functional.one_hot(choice.long().flatten() - self.start, self.n)
        return Encoded(self.net(choice.float().flatten(1))[:, None])


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
