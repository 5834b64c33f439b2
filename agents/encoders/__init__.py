"""Encoders: one per kind of observation entry, each a batch of entries to a batch of features.

An encoder is a module with ``Encoder(space, features)`` and ``encoder(entry, length=None)``, which gives
``(n, features)`` float32. ``length`` is the ``<key>_length`` entry of shape (n, 1) where there is one.
The table below is the one place that says which space is encoded by which: a new kind of entry is one file
and one line.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from torch import nn

from agents.encoders.audio import AudioEncoder
from agents.encoders.image import ImageEncoder
from agents.encoders.number import ChoiceEncoder, CountEncoder
from agents.encoders.tokens import TokensEncoder
from agents.encoders.vector import VectorEncoder
from agents.encoders.video import VideoEncoder
from mm_envs.spaces import Audio, Count, Image, Tokens, Video

ENCODERS: dict[type[gym.Space[Any]], type[nn.Module]] = {
    Image: ImageEncoder,
    Video: VideoEncoder,
    Audio: AudioEncoder,
    Tokens: TokensEncoder,
    Count: CountEncoder,
    gym.spaces.Discrete: ChoiceEncoder,
    gym.spaces.Box: VectorEncoder,
}


def make_encoder(space: gym.Space[Any], features: int) -> nn.Module:
    """The encoder of a space, by the nearest of its classes that stands in the table.

    Args:
        space: The space of one entry (not batched).
        features: How many numbers the encoder gives per row.

    Raises:
        ValueError: Neither the kind of the space nor a kind it derives from has an encoder.

    Example:
        >>> from mm_envs.spaces import Vector
        >>> type(make_encoder(Vector(3), features=8)).__name__
        'VectorEncoder'
    """
    for kind in type(space).__mro__:
        if kind in ENCODERS:
            return ENCODERS[kind](space, features)
    known = ", ".join(kind.__name__ for kind in ENCODERS)
    raise ValueError(f"space {space} has no encoder: the kinds with one are {known}")


__all__ = ["ENCODERS", "make_encoder"]
