"""Encoders: one per kind of observation entry, each a batch of entries to a batch of tokens.

An encoder is an ``Encoder`` made of a space, with ``encoder(entry, length=None) -> Encoded``. ``length`` is
the ``<key>_length`` entry of shape (n, 1) where there is one. The table below is the only one that
maps spaces to encoders: a new kind of entry or of encoder is one file and one line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import gymnasium as gym
from torch import Tensor

from agents.encoders.audio import AudioEncoder
from agents.encoders.audio_gru import GRUAudioEncoder
from agents.encoders.audio_moments import MomentsAudioEncoder
from agents.encoders.backbones import BACKBONES, BackboneEncoder
from agents.encoders.candidates import WIDTH, CandidatesEncoder
from agents.encoders.encoded import Blocks, Encoded, Encoder, Flat
from agents.encoders.image import ImageEncoder
from agents.encoders.number import ChoiceEncoder, CountEncoder, VectorEncoder
from agents.encoders.tokens import GRUTokensEncoder, TokensEncoder, TransformerTokensEncoder
from agents.encoders.video import VideoEncoder
from mm_envs.names import check_one_of, keywords, refuse_unknown
from mm_envs.spaces import Audio, Candidates, Count, Image, Tokens, Video

Factory: TypeAlias = Callable[..., Encoder]

ENCODERS: dict[type[gym.Space[Any]], dict[str, Factory]] = {
    Image: {
        "patches": ImageEncoder,
        **{name: partial(BackboneEncoder, name=name) for name in BACKBONES},
    },
    Video: {"frames": VideoEncoder},
    Audio: {"moments": MomentsAudioEncoder, "cnn": AudioEncoder, "gru": GRUAudioEncoder},
    Tokens: {
        "embedding": TokensEncoder,
        "gru": GRUTokensEncoder,
        "transformer": TransformerTokensEncoder,
    },
    Count: {"table": CountEncoder},
    gym.spaces.Discrete: {"table": ChoiceEncoder},
    gym.spaces.Box: {"linear": VectorEncoder},
}
"""Encoders by space and name; the first of a space is its default. Candidates have those of one candidate."""


def encoders_of(space: gym.Space[Any]) -> Mapping[str, Factory]:
    """The encoders of a space by name, by the nearest of its classes that is in the table.

    Raises:
        ValueError: Neither the kind of the space nor a kind it derives from has an encoder.

    Example:
        >>> list(encoders_of(Audio(2000, 8000)))
        ['moments', 'cnn', 'gru']
    """
    if isinstance(space, Candidates):
        return {kind: partial(_candidates_encoder, kind=kind) for kind in encoders_of(space.single)}
    for kind in type(space).__mro__:
        if kind in ENCODERS:
            return ENCODERS[kind]
    known = ", ".join(kind.__name__ for kind in (*ENCODERS, Candidates))
    raise ValueError(f"space {space} has no encoder: the kinds with one are {known}")


def make_encoder(space: gym.Space[Any], kind: str | None = None, **arguments: Any) -> Encoder:
    """An encoder of the space of one entry.

    Args:
        space: The space.
        kind: The name of an encoder of that space, as in ``ENCODERS``; None for the first.
        arguments: Further arguments of the encoder.

    Raises:
        ValueError: The space has no encoder, none of that name, or the encoder has no such argument.

    Example:
        >>> from mm_envs.spaces import Vector
        >>> type(make_encoder(Vector(3))).__name__
        'VectorEncoder'
        >>> make_encoder(Image(36, 36), "mobilenet_v3_small", size=64).width
        576
        >>> make_encoder(Audio(2000, 8000), "rnn")
        Traceback (most recent call last):
        ValueError: kind='rnn' is not one of moments, cnn, gru
    """
    known = encoders_of(space)
    kind = next(iter(known)) if kind is None else kind
    check_one_of("kind", kind, known)
    refuse_unknown(f"encoder {kind!r}", arguments, arguments_of(space, kind))
    return known[kind](space, **arguments)


class PooledEncoder(Blocks):
    """Encodes one entry as one vector.

    Args:
        space: The space of the entry.
        features: Numbers per vector.
        kind: The name of an encoder, and ``arguments`` those of it: as in ``make_encoder``.

    Example:
        >>> import torch
        >>> from mm_envs.spaces import Vector
        >>> PooledEncoder(Vector(3), 8)(torch.zeros(5, 3)).shape
        torch.Size([5, 8])
    """

    def __init__(
        self, space: gym.Space[Any], features: int, kind: str | None = None, **arguments: Any
    ) -> None:
        super().__init__()
        self.encoder = make_encoder(space, kind, **arguments)
        self.pool = Flat(self.encoder, features)

    def forward(self, entry: Tensor, length: Tensor | None = None) -> Tensor:
        """Vectors (n, features) of entries (n, ...); the arguments are those of the encoder."""
        pooled: Tensor = self.pool(self.encoder(entry, length))
        return pooled


def _candidates_encoder(space: Candidates, kind: str, **arguments: Any) -> CandidatesEncoder:
    return CandidatesEncoder(space, PooledEncoder(space.single, WIDTH, kind, **arguments))


def arguments_of(space: gym.Space[Any], kind: str | None = None) -> list[str]:
    """The names of the arguments of an encoder, see ``make_encoder``.

    Raises:
        ValueError: The space has no encoder, or none of that name.

    Example:
        >>> arguments_of(Image(36, 36), "resnet18")
        ['weights', 'size', 'largest', 'seed', 'batch_statistics']
    """
    while isinstance(space, Candidates):
        space = space.single
    known = encoders_of(space)
    kind = next(iter(known)) if kind is None else kind
    check_one_of("kind", kind, known)
    return [name for name in keywords(known[kind])[0] if name not in {"space", "name"}]


__all__ = ["ENCODERS", "Encoded", "Encoder", "PooledEncoder", "arguments_of", "encoders_of", "make_encoder"]
