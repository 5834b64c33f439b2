"""Video: every frame as a picture, each with its moment."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, grid, within
from agents.encoders.image import Pictures
from mm_envs.spaces import Video

_GRID = 3


class VideoEncoder(Encoder):
    """Encodes a ``Video`` entry: tokens for the cells of a coarse grid of every frame, in the order of time.

    Neighbouring frames meet in a convolution over time, so that a cell tells what moves there.

    Example:
        >>> encoder = VideoEncoder(Video(4, 36, 36))
        >>> encoder(torch.zeros(5, 4, 3, 36, 36, dtype=torch.uint8)).tokens.shape
        torch.Size([5, 36, 64])
    """

    timed = True

    def __init__(self, space: Video) -> None:
        frames, channels, height, width = space.shape
        pictures = Pictures(channels, height, width, _GRID)
        # The grid runs over (moment, row, column), and positions begin with row and column as in a picture.
        positions = grid(frames, *pictures.shape).roll(-1, 1)
        super().__init__(pictures.width, len(positions), positions)
        self.pictures, self.motion = pictures, nn.Conv1d(self.width, self.width, 3, padding=1)

    def forward(self, video: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of videos (n, frames, channels, height, width), 0 to 255; none from ``length`` (n, 1) on."""
        n, frames = video.shape[:2]
        cells = self.pictures(video.flatten(0, 1)).view(n, frames, -1, self.width)
        there = None
        if length is not None:
            there = within(length, frames)
            cells = cells * there[:, :, None, None]
        over_time = cells.permute(0, 2, 3, 1).flatten(0, 1)
        moved = torch.relu(self.motion(over_time)).view(n, -1, self.width, frames).permute(0, 3, 1, 2)
        encoded = Encoded((cells + moved).flatten(1, 2), None, self.positions)
        if there is None:
            return encoded
        return encoded.masked(there.repeat_interleave(cells.shape[2], 1))
