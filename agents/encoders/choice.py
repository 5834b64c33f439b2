"""Which encoder each entry has, and what of it is trained, as arguments of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import gymnasium as gym

from agents.encoders import Encoder, arguments_of, make_encoder
from agents.encoders.adapters import check_way, trainable
from mm_envs.names import refuse_unknown

Chosen: TypeAlias = "str | Mapping[str, Any]"
"""The name of an encoder, or {"kind": name, "trainable": how, **arguments}, all of them optional."""

NAMES = ("encoders", "trainable")
_WEIGHTS, _KIND, _TRAINABLE, _SEED = "weights", "kind", "trainable", "seed"
# A file cannot have more memory taken than its weights need: positions are not among them.
_MAX_STORED = 4096


@dataclass(frozen=True)
class EncoderChoice:
    """The encoders of the entries of an observation.

    Attributes:
        encoders: By key of an entry: a name of ``agents.encoders.ENCODERS``, or a dict of its ``kind``, of
            ``trainable`` for this entry, and of arguments of the encoder. Other entries have their defaults.
        trainable: What of every encoder is trained, see ``agents.encoders.adapters.trainable``.
        seed: Of random weights of chosen encoders, and of adapters.

    Raises:
        ValueError: A value is not of its form.

    Example:
        >>> from mm_envs.spaces import Image, Vector
        >>> choice = EncoderChoice({"image": "mobilenet_v3_small"}, trainable="none")
        >>> {key: type(one).__name__ for key, one in choice.make({"image": Image(64, 64)}).items()}
        {'image': 'BackboneEncoder'}
    """

    encoders: Mapping[str, Chosen] = field(default_factory=dict)
    trainable: str = "all"
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.encoders, self.trainable)

    def make(self, spaces: Mapping[str, gym.Space[Any]]) -> dict[str, Encoder]:
        """The encoders by key.

        Raises:
            ValueError: There is no such entry, encoder or argument, or an encoder cannot be trained so.
        """
        refuse_unknown("encoders", self.encoders, list(spaces))
        return {key: self._one(key, space) for key, space in spaces.items()}

    def arguments(self) -> dict[str, Any]:
        """What is not the default, as JSON values, but for files of weights: a policy saves the weights."""
        chosen = {key: _without_weights(one) for key, one in self.encoders.items()}
        found = {"encoders": chosen, "trainable": self.trainable}
        return {name: value for name, value in found.items() if value not in ({}, "all")}

    def _one(self, key: str, space: gym.Space[Any]) -> Encoder:
        given = self.encoders.get(key, {})
        about: dict[str, Any] = {_KIND: given} if isinstance(given, str) else dict(given)
        how, kind = about.pop(_TRAINABLE, self.trainable), about.pop(_KIND, None)
        try:
            if key in self.encoders and _SEED in arguments_of(space, kind):
                about.setdefault(_SEED, self.seed)
            encoder = make_encoder(space, kind, **about)
            if how != "all":
                trainable(encoder, how, self.seed)
        except ValueError as error:
            raise ValueError(f"encoder of {key!r}: {error}") from None
        return encoder


def check_stored(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The ``encoders`` and ``trainable`` of an untrusted file, which may name no file and no large number.

    Raises:
        ValueError: It does, or a value is of another type.
    """
    found = {name: arguments[name] for name in NAMES if name in arguments}
    encoders = found.get("encoders", {})
    _check(encoders, found.get("trainable", "all"))
    for key, given in encoders.items():
        for name, value in () if isinstance(given, str) else given.items():
            if name == _WEIGHTS:
                raise ValueError(f"encoders: {key!r} names a file of weights, which no saved policy needs")
            large = isinstance(value, (int, float)) and name != _SEED and not abs(value) <= _MAX_STORED
            if large or not isinstance(value, (str, int, float, type(None))):
                raise ValueError(f"encoders: {name}={value!r:.40} of {key!r} is not within {_MAX_STORED}")
    return found


def _check(encoders: object, how: object) -> None:
    """Refuses what is not of the form of a choice."""
    check_way("trainable", how)
    if not isinstance(encoders, Mapping):
        raise ValueError(f"encoders={encoders!r} is no dict: give the name of an encoder by key of an entry")
    for key, given in encoders.items():
        if not isinstance(given, (str, Mapping)):
            raise ValueError(f"encoders: {key}={given!r} is no name of an encoder, nor a dict with kind")
        if isinstance(given, Mapping):
            check_way(f"encoders: trainable of {key!r}", given.get(_TRAINABLE, "all"))


def _without_weights(given: Chosen) -> Any:
    return given if isinstance(given, str) else {name: one for name, one in given.items() if name != _WEIGHTS}
