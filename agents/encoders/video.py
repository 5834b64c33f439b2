"""Video: every frame as a picture, then the mean over time."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.encoders.image import Pictures
from mm_envs.spaces import Video


class VideoEncoder(Pictures):
    """Encodes a ``Video`` entry: the mean of the features of its frames. Order in time is not seen.

    Args:
        space: The space of one video.
        features: How many numbers to give per video.
    """

    def __init__(self, space: Video, features: int) -> None:
        _, channels, height, width = space.shape
        super().__init__(channels, height, width, features)

    def forward(self, video: Tensor, length: Tensor | None = None) -> Tensor:
        """Features (n, features) of videos (n, frames, channels, height, width), 0 to 255.

        Frames from ``length`` (n, 1) on are left out; a video of length 0 gives zeros.
        """
        n, frames = video.shape[:2]
        features = super().forward(video.flatten(0, 1)).reshape(n, frames, -1)
        there = torch.ones(n, frames, dtype=torch.bool, device=video.device)
        if length is not None:
            there = torch.arange(frames, device=video.device) < length.reshape(-1, 1)
        mean: Tensor = (features * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        return mean
