"""Pictures: a convolutional network over patches with learned position embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Blocks, Encoded, Encoder, grid
from mm_envs.names import at_least
from mm_envs.spaces import Image

_PATCH = 4
_CHANNELS = (32, 64)
_GRID = 8
_SCALE = 1 / 64  # of pixel values: 0 to 4


class PatchStem(nn.Module):
    """Patches of 4x4 pixels, each with a learned position embedding, batch norm and ReLU.

    The embeddings are those of vision transformers (Dosovitskiy et al., 2020, arXiv 2010.11929): vectors that
    are added to the patches, 0 at first. They replace the bias.

    Attributes:
        shape: Rows and columns of patches.
    """

    def __init__(self, channels: int, height: int, width: int, features: int) -> None:
        super().__init__()
        self.pixels = nn.Conv2d(channels, features, _PATCH, _PATCH, bias=False)
        self.shape = height // _PATCH, width // _PATCH
        # Channels last, as the convolution gives them: adding another layout takes a fifth more time.
        self.positions = nn.Parameter(torch.zeros(1, *self.shape, features))
        self.norm = nn.BatchNorm2d(features).eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Patches (n, features, rows, columns) of float pictures (n, channels, height, width)."""
        # Scaling after the convolution is the same as before it, on fewer numbers.
        patches = torch.add(self.positions.permute(0, 3, 1, 2), self.pixels(pictures), alpha=_SCALE)
        normed: Tensor = self.norm(patches).relu_()
        return normed


class NormedConv(nn.Sequential):
    """A 3x3 convolution, batch norm (Ioffe and Szegedy, 2015, arXiv 1502.03167) and ReLU.

    The norm uses running statistics, unless ``agents.encoders.encoded.batch_statistics`` is asked for.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs).eval(),
            nn.ReLU(inplace=True),
        )


class Pictures(Blocks):
    """Patches, a strided convolution, and a residual one that sees the neighbours of each cell.

    64x64 pixels are 16x16 patches of 32 numbers and then 8x8 cells of 64. Grids of more than ``largest`` x
    ``largest`` cells are averaged.

    Attributes:
        width: Numbers per cell.
        shape: Rows and columns of the grid.

    Raises:
        ValueError: A side is below 4 pixels.

    Example:
        >>> Pictures(channels=3, height=64, width=64)(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 64, 64])
    """

    def __init__(self, channels: int, height: int, width: int, largest: int = _GRID) -> None:
        super().__init__()
        at_least("height", height, _PATCH, "enlarge the pictures")
        at_least("width", width, _PATCH, "enlarge the pictures")
        first, second = _CHANNELS
        self.width = second
        self.stem = PatchStem(channels, height, width, first)
        self.cells = NormedConv(first, second, stride=2)
        rows, columns = ((side + 1) // 2 for side in self.stem.shape)
        self.shape = min(rows, largest), min(columns, largest)
        self.pool = nn.Identity() if self.shape == (rows, columns) else nn.AdaptiveAvgPool2d(self.shape)
        self.around = NormedConv(second, second, stride=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Cells (n, rows * columns, width) of pictures (n, channels, height, width) of 0 to 255."""
        # Channels last makes convolutions of so few channels twice as fast on a CPU.
        pixels = pictures.to(torch.float32, memory_format=torch.channels_last)
        cells = self.cells(self.stem(pixels))
        tokens: Tensor = self.pool(cells + self.around(cells)).flatten(2).transpose(1, 2)
        # Linear layers choose their kernel by the layout of what they are given: always the same one.
        return tokens.contiguous()


class ImageEncoder(Encoder):
    """Encodes an ``Image`` entry: a token of 64 numbers for each cell of a grid of at most 8x8.

    Example:
        >>> encoder = ImageEncoder(Image(36, 48))
        >>> encoded = encoder(torch.zeros(5, 3, 36, 48, dtype=torch.uint8))
        >>> encoded.tokens.shape, encoded.positions.shape
        (torch.Size([5, 30, 64]), torch.Size([30, 2]))
    """

    def __init__(self, space: Image) -> None:
        pictures = Pictures(*space.shape)
        positions = grid(*pictures.shape)
        super().__init__(pictures.width, len(positions), positions)
        self.pictures = pictures

    def forward(self, image: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of pictures (n, channels, height, width), uint8 or float, 0 to 255."""
        return Encoded(self.pictures(image), None, self.positions)
