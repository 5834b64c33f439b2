"""Clips: frames of animated GIF, WebP and PNG files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mm_envs.data.media.files import faults, read_file
from mm_envs.data.media.pictures import check_shape, fitted, open_picture


def read_video(
    path: str | Path, frames: int, height: int, width: int, channels: int = 3, fit: str = "pad"
) -> Tensor:
    """Reads frames of a clip, sampled evenly from the first to the last.

    The last frame of a shorter clip, or of a still picture, is repeated. Durations of frames are ignored.
    Each frame is composed with those before it, as viewers do; pixels that stay transparent become white.
    The result is uint8 of shape (frames, channels, height, width). Other arguments and errors are those of
    ``read_image``.
    """
    check_shape(height, width, channels, fit)
    if frames < 1:
        raise ValueError(f"frames={frames} is below 1: ask for at least one frame")
    file = read_file(path)
    with faults(file):
        picture, count, orientation = open_picture(file)
        # The picture that an animated PNG shows where animation is not known need not belong to the clip.
        first = int(getattr(picture, "default_image", False))
        numbers = sampled(count, frames)
        seen: dict[int, Tensor] = {}
        for number in range(numbers[-1] + 1):
            picture.seek(first + number)
            picture.load()
            if number in numbers:
                seen[number] = fitted(picture, orientation, height, width, channels, fit)
        return torch.stack([seen[number] for number in numbers])


def sampled(count: int, frames: int) -> list[int]:
    """The indices of ``frames`` frames out of ``count``, evenly from the first to the last.

    Example:
        >>> sampled(9, 3), sampled(10, 4), sampled(2, 4), sampled(9, 1)
        ([0, 4, 8], [0, 3, 6, 9], [0, 1, 1, 1], [4])
    """
    if frames == 1:
        return [(count - 1) // 2]
    if count <= frames:
        return [min(i, count - 1) for i in range(frames)]
    steps = frames - 1
    return [(2 * i * (count - 1) + steps) // (2 * steps) for i in range(frames)]
