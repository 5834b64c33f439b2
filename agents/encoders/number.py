"""One whole number: a count or a choice."""

from __future__ import annotations

import gymnasium as gym
import torch
from torch import Tensor, nn

from mm_envs.spaces import Count

_LARGEST_TABLE = 1024


class CountEncoder(nn.Module):
    """Encodes a ``Count`` entry: an embedding of the number, or its ratio to a maximum that is large.

    Args:
        space: The space of one count.
        features: How many numbers to give per row.

    Example:
        >>> CountEncoder(Count(5), features=8)(torch.tensor([[0], [5]])).shape
        torch.Size([2, 8])
    """

    def __init__(self, space: Count, features: int) -> None:
        super().__init__()
        self.maximum = int(space.high[0])
        in_table = self.maximum < _LARGEST_TABLE
        self.net: nn.Module = nn.Embedding(self.maximum + 1, features) if in_table else nn.Linear(1, features)

    def forward(self, count: Tensor, length: Tensor | None = None) -> Tensor:
        """Features (n, features) of counts (n, 1), whole numbers of any dtype."""
        if isinstance(self.net, nn.Embedding):
            return torch.relu(self.net(count.long().flatten()))
        return torch.relu(self.net(count.float().reshape(-1, 1) / self.maximum))


class ChoiceEncoder(nn.Module):
    """Encodes a ``Discrete`` entry by an embedding.

    Args:
        space: The space of one choice.
        features: How many numbers to give per row.

    Example:
        >>> ChoiceEncoder(gym.spaces.Discrete(4), features=8)(torch.tensor([0, 3])).shape
        torch.Size([2, 8])
    """

    def __init__(self, space: gym.spaces.Discrete, features: int) -> None:
        super().__init__()
        self.n, self.start = int(space.n), int(space.start)
        self.net = nn.Linear(self.n, features)

    def forward(self, choice: Tensor, length: Tensor | None = None) -> Tensor:
        """Features (n, features) of choices (n,) or (n, 1), int64; or of one-hot floats (n, choices)."""
        # Stable-Baselines3 hands a Discrete entry over as one-hot floats.
        if not choice.is_floating_point():
            choice = nn.functional.one_hot(choice.long().flatten() - self.start, self.n)
        return torch.relu(self.net(choice.float().flatten(1)))
