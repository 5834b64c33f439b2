"""Encoders: one per kind of observation entry, each a batch of entries to a batch of tokens.

An encoder is an ``Encoder`` made of a space, with ``encoder(entry, length=None) -> Encoded``. ``length`` is
the ``<key>_length`` entry of shape (n, 1) where there is one. The table below is the only one that
maps spaces to encoders: a new kind of entry is one file and one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
from torch import Tensor, nn

from agents.encoders.audio import AudioEncoder
from agents.encoders.candidates import WIDTH, CandidatesEncoder
from agents.encoders.encoded import Encoded, Encoder, Flat
from agents.encoders.image import ImageEncoder
from agents.encoders.number import ChoiceEncoder, CountEncoder, VectorEncoder
from agents.encoders.tokens import TokensEncoder
from agents.encoders.video import VideoEncoder
from mm_envs.spaces import Audio, Candidates, Count, Image, Tokens, Video

ENCODERS: dict[type[gym.Space[Any]], Callable[[Any], Encoder]] = {
    Image: ImageEncoder,
    Video: VideoEncoder,
    Audio: AudioEncoder,
    Tokens: TokensEncoder,
    Candidates: lambda space: _candidates_encoder(space),
    Count: CountEncoder,
    gym.spaces.Discrete: ChoiceEncoder,
    gym.spaces.Box: VectorEncoder,
}


def make_encoder(space: gym.Space[Any]) -> Encoder:
    """The encoder of the space of one entry, by the nearest of its classes that is in the table.

    Raises:
        ValueError: Neither the kind of the space nor a kind it derives from has an encoder.

    Example:
        >>> from mm_envs.spaces import Vector
        >>> type(make_encoder(Vector(3))).__name__
        'VectorEncoder'
    """
    for kind in type(space).__mro__:
        if kind in ENCODERS:
            return ENCODERS[kind](space)
    known = ", ".join(kind.__name__ for kind in ENCODERS)
    raise ValueError(f"space {space} has no encoder: the kinds with one are {known}")


class PooledEncoder(nn.Module):
    """Encodes one entry as one vector.

    Example:
        >>> import torch
        >>> from mm_envs.spaces import Vector
        >>> PooledEncoder(Vector(3), 8)(torch.zeros(5, 3)).shape
        torch.Size([5, 8])
    """

    def __init__(self, space: gym.Space[Any], features: int) -> None:
        super().__init__()
        self.encoder = make_encoder(space)
        self.pool = Flat(self.encoder, features)

    def forward(self, entry: Tensor, length: Tensor | None = None) -> Tensor:
        """Vectors (n, features) of entries (n, ...); the arguments are those of the encoder."""
        pooled: Tensor = self.pool(self.encoder(entry, length))
        return pooled


def _candidates_encoder(space: Candidates) -> CandidatesEncoder:
    return CandidatesEncoder(space, PooledEncoder(space.single, WIDTH))


__all__ = ["ENCODERS", "Encoded", "Encoder", "PooledEncoder", "make_encoder"]
