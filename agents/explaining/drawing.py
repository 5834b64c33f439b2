"""Pictures and spectrograms with attention on them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.encoders.log_mel import LogMel
from mm_envs.spaces import Audio, Image, Video

Pixels = NDArray[np.uint8]

_SIDE = 112  # pixels, at least, of a picture on the page
_HEAT = np.array([255, 150, 30], dtype=np.float32)[:, None, None]
_DIM, _STRENGTH = 0.5, 0.65
_BANDS = 3  # pixels for each band of a spectrogram


def canvas(space: gym.Space[Any], value: Tensor) -> Pixels | None:
    """An entry of one context as a picture (3, height, width); None if it is neither seen nor heard.

    Clips are their frames from left to right, sounds their log-mel spectrogram, low pitch at the bottom.

    Example:
        >>> canvas(Image(36, 36), torch.zeros(3, 36, 36, dtype=torch.uint8)).shape
        (3, 144, 144)
    """
    if isinstance(space, Image):
        return _enlarged(value.numpy())
    if isinstance(space, Video):
        return _enlarged(np.concatenate(list(value.numpy()), 2))
    if isinstance(space, Audio):
        log_mel = LogMel(space.sample_rate)(value[None].float())[0].numpy()
        low, high = float(log_mel.min()), float(log_mel.max())
        grey = (255 * (log_mel - low) / max(high - low, 1e-6)).astype(np.uint8)[::-1]
        tall = np.repeat(grey, _BANDS, 0)
        wide = np.repeat(tall, max(1, 2 * _SIDE // tall.shape[1]), 1)
        return np.repeat(wide[None], 3, 0)
    return None


def overlay(drawn: Pixels, weights: Tensor, shape: tuple[int, ...], space: gym.Space[Any]) -> Pixels:
    """A picture of ``canvas`` with attention weights (tokens,) as heat; the largest weight is the hottest.

    Args:
        drawn: What ``canvas`` gave.
        weights: The weights of the cells of a grid.
        shape: The sides of the grid, as ``AttentionMap.shape``.
        space: The space of the entry.
    """
    grid = weights.float().cpu().view(shape)
    if len(shape) == 3:
        grid = torch.cat(list(grid), 1)
    if isinstance(space, Audio):
        grid = grid.flip(0)
    heat = (grid / grid.max().clamp(min=1e-9)).numpy()
    _, height, width = drawn.shape
    rows = np.arange(height) * heat.shape[0] // height
    columns = np.arange(width) * heat.shape[1] // width
    mixed = _DIM * drawn.astype(np.float32) + _STRENGTH * heat[rows][:, columns] * _HEAT
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def _enlarged(pixels: Pixels) -> Pixels:
    whole = np.repeat(pixels, 3 // len(pixels), 0)
    scale = max(1, -(-_SIDE // whole.shape[1]))
    return np.asarray(np.repeat(np.repeat(whole, scale, 1), scale, 2))
