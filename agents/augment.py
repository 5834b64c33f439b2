"""Augmentation of contexts, where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.random import fold, integers
from mm_envs.spaces import Image


def shifted(
    context: Mapping[str, Tensor], spaces: Mapping[str, gym.Space[Any]], hashes: Tensor, pixels: int
) -> dict[str, Tensor]:
    """Contexts whose pictures are moved by up to so many pixels along both axes, the same for all rows.

    What leaves a picture at one side comes in at the other.

    Args:
        context: Entries (n, ...).
        spaces: Their spaces; entries of other spaces than ``Image`` stay.
        hashes: () int64, decides the shift.
        pixels: The largest shift.
    """
    moves = integers(fold(hashes, torch.arange(2)), 2 * pixels + 1) - pixels
    by = (int(moves[0]), int(moves[1]))
    pictures = [key for key, space in spaces.items() if isinstance(space, Image)]
    return {key: one.roll(by, (2, 3)) if key in pictures else one for key, one in context.items()}
