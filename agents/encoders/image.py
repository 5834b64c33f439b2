"""Pictures: a small convolutional network with coordinate channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, grid
from mm_envs.spaces import Image

_CHANNELS = (16, 32, 64)
_GRID = 6


class Pictures(nn.Module):
    """Three strided convolutions to a grid of at most 6x6 cells.

    Two coordinate channels (Liu et al., "An intriguing failing of convolutional neural networks and the
    CoordConv solution", 2018) tell where a patch lies; their part of the first convolution is computed once.
    Grids of more than ``largest`` cells along an axis are averaged.

    Attributes:
        width: Numbers per cell.
        shape: Rows and columns of the grid.
    """

    coordinates: Tensor

    def __init__(self, channels: int, height: int, width: int, largest: int = _GRID) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.width = third
        self.pixels = nn.Conv2d(channels, first, 5, stride=3, padding=1, bias=False)
        self.positions = nn.Conv2d(2, first, 5, stride=3, padding=1)
        self.rest = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
        coordinates = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        self.register_buffer("coordinates", coordinates[None], persistent=False)
        with torch.no_grad():
            made = self.rest(self.positions(self.coordinates)).shape[-2:]
        self.shape = min(made[0], largest), min(made[1], largest)
        self.pool = nn.Identity() if self.shape == tuple(made) else nn.AdaptiveAvgPool2d(self.shape)

    def forward(self, pictures: Tensor) -> Tensor:
        """Cells (n, rows * columns, width) of pictures (n, channels, height, width) of 0 to 255."""
        # Channels last makes convolutions of so few channels twice as fast on a CPU.
        pixels = pictures.to(torch.float32, memory_format=torch.channels_last)
        # Dividing by 255 after the convolution is the same as before it, on fewer numbers.
        seen = self.pixels(pixels) / 255.0 + self.positions(self.coordinates)
        cells: Tensor = self.pool(self.rest(seen)).flatten(2).transpose(1, 2)
        # Linear layers choose their kernel by the layout of what they are given: always the same one.
        return cells.contiguous()


class ImageEncoder(Encoder):
    """Encodes an ``Image`` entry: a token for each cell of a grid.

    Example:
        >>> encoder = ImageEncoder(Image(36, 48))
        >>> encoded = encoder(torch.zeros(5, 3, 36, 48, dtype=torch.uint8))
        >>> encoded.tokens.shape, encoded.positions.shape
        (torch.Size([5, 12, 64]), torch.Size([12, 2]))
    """

    def __init__(self, space: Image) -> None:
        pictures = Pictures(*space.shape)
        positions = grid(*pictures.shape)
        super().__init__(pictures.width, len(positions), positions)
        self.pictures = pictures

    def forward(self, image: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of pictures (n, channels, height, width), uint8 or float, 0 to 255."""
        return Encoded(self.pictures(image), None, self.positions)
