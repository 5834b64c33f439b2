"""The value of the parts of an answer: the return that is expected before it."""

from __future__ import annotations

from torch import Tensor, nn

from agents.generators import seeded


class ValueHead(nn.Module):
    """Predicts returns from the states of ``Parts``.

    The states come without gradient: an untrained value would change the policy through the shared network.

    Args:
        width: Numbers per state.
        hidden: Of the hidden layer.
        seed: Of the weights.

    Example:
        >>> import torch
        >>> ValueHead(8)(torch.zeros(5, 3, 8)).shape
        torch.Size([5, 3])
    """

    def __init__(self, width: int, hidden: int = 128, seed: int = 0) -> None:
        super().__init__()
        with seeded(seed):
            self.net = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        nn.init.zeros_(self.net[-1].weight)  # type: ignore[arg-type]

    def forward(self, states: Tensor) -> Tensor:
        """Returns (n, parts) of states (n, parts, width)."""
        values: Tensor = self.net(states.detach())[:, :, 0]
        return values
