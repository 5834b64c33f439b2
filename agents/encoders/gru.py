"""A bidirectional GRU that steps over entries without a mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedGRU(nn.Module):
    """A bidirectional GRU over the existing entries of a sequence (Cho et al., 2014, arXiv 1406.1078).

    Existing entries are moved together before the recurrence and back after it, on the device: padding of any
    number, in front, between or behind, changes nothing.

    Args:
        inputs: Numbers per entry.
        width: Numbers per output, an even number: half of them from each direction.

    Example:
        >>> gru = MaskedGRU(3, 8)
        >>> gru(torch.zeros(2, 5, 3), torch.tensor([[True] * 5, [False] * 5])).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"width={width} is not an even number above 0: give one, for two directions")
        self.ahead = nn.GRU(inputs, width // 2, batch_first=True)
        self.back = nn.GRU(inputs, width // 2, batch_first=True)

    def forward(self, entries: Tensor, mask: Tensor | None = None) -> Tensor:
        """Outputs (n, s, width) of entries (n, s, inputs); 0 where a mask (n, s) bool has none."""
        if mask is None:
            backwards = self.back(entries.flip(1))[0].flip(1)
            return torch.cat([self.ahead(entries)[0], backwards], 2)
        order, slots = _together(mask)
        ahead = _rows(self.ahead(_rows(entries, order))[0], slots)
        # The order is a permutation of its own for the other direction: the last existing entry comes first.
        order, slots = _together(mask.flip(1))
        back = _rows(self.back(_rows(entries.flip(1), order))[0], slots).flip(1)
        outputs: Tensor = torch.cat([ahead, back], 2) * mask[:, :, None]
        return outputs


def _together(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The order (n, s) int64 that moves existing entries to the front, and its inverse."""
    order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    return order, order.argsort(dim=1)


def _rows(entries: Tensor, order: Tensor) -> Tensor:
    """Entries (n, s, d) of every row in an order (n, s)."""
    return entries.gather(1, order[:, :, None].expand(-1, -1, entries.shape[2]))
