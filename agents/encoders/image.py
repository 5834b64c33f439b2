"""Pictures: a small convolutional net that knows where it looks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mm_envs.spaces import Image

_CHANNELS = (16, 32, 64)
_GRID = 6


class Pictures(nn.Module):
    """Three strided convolutions, then one linear layer over a grid of at most 6x6 places.

    Two coordinate channels (Liu et al., "An intriguing failing of convolutional neural networks and the
    CoordConv solution", 2018) say where a patch lies. They are the same for every picture, so that their part
    of the first convolution is computed once and added, rather than once per row.

    Args:
        channels: Of the pictures: 1 or 3.
        height: In pixels, at least 36.
        width: In pixels, at least 36.
        features: How many numbers to give per picture.
    """

    coordinates: Tensor

    def __init__(self, channels: int, height: int, width: int, features: int) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.pixels = nn.Conv2d(channels, first, 5, stride=3, padding=1, bias=False)
        self.places = nn.Conv2d(2, first, 5, stride=3, padding=1)
        self.rest = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        self.register_buffer("coordinates", grid[None], persistent=False)
        with torch.no_grad():
            grid_height, grid_width = self.rest(self.places(self.coordinates)).shape[-2:]
        shape = min(grid_height, _GRID), min(grid_width, _GRID)
        self.pool = nn.Identity() if shape == (grid_height, grid_width) else nn.AdaptiveAvgPool2d(shape)
        self.out = nn.Sequential(nn.Flatten(), nn.Linear(third * shape[0] * shape[1], features), nn.ReLU())

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of shape (n, features) from pictures (n, channels, height, width) of 0 to 255."""
        # Channels last makes convolutions of so few channels twice as fast on a CPU.
        pixels = pictures.to(torch.float32, memory_format=torch.channels_last)
        # Dividing by 255 after the convolution is the same as before it, on fewer numbers.
        seen = self.pixels(pixels) / 255.0 + self.places(self.coordinates)
        features: Tensor = self.out(self.pool(self.rest(seen)))
        return features


class ImageEncoder(Pictures):
    """Encodes an ``Image`` entry.

    Args:
        space: The space of one picture.
        features: How many numbers to give per picture.

    Example:
        >>> encoder = ImageEncoder(Image(36, 48), features=8)
        >>> encoder(torch.zeros(5, 3, 36, 48, dtype=torch.uint8)).shape
        torch.Size([5, 8])
    """

    def __init__(self, space: Image, features: int) -> None:
        channels, height, width = space.shape
        super().__init__(channels, height, width, features)

    def forward(self, image: Tensor, length: Tensor | None = None) -> Tensor:
        """Features (n, features) of pictures (n, channels, height, width), uint8 or float, 0 to 255."""
        return super().forward(image)
