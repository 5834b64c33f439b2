"""Typed observation spaces.

Every space is a ``gymnasium.spaces.Box`` with what an encoder needs besides: a sample rate, a vocabulary.
Bounds are one number each, broadcast without memory, so that batching to thousands of rows is free.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import DTypeLike, NDArray

from mm_envs.names import check_one_of
from mm_envs.tokenizers import Tokenizer
from mm_envs.tokenizers.table import from_plain, to_plain

MINIMUM_SIDE = 36


class UniformBox(gym.spaces.Box):
    """A Box with the same bounds everywhere, stored as one number each; ``seed`` is that of ``sample``."""

    def __init__(
        self, low: float, high: float, shape: tuple[int, ...], dtype: DTypeLike, seed: int | None = None
    ) -> None:
        # Box.__init__ would fill arrays of the whole shape, gigabytes for a batch of pictures.
        gym.Space.__init__(self, shape, dtype, seed)
        self.low_repr, self.high_repr = str(low), str(high)
        self._set_bounds(low, high)

    def _set_bounds(self, low: float, high: float) -> None:
        self._bounds = (low, high)
        self.low = self._everywhere(low)
        self.high = self._everywhere(high)
        self.bounded_below = np.broadcast_to(np.isfinite(low), self.shape)
        self.bounded_above = np.broadcast_to(np.isfinite(high), self.shape)

    def _everywhere(self, value: float) -> NDArray[Any]:
        return np.broadcast_to(np.asarray(value, dtype=self.dtype), self.shape)

    def contains(self, x: Any) -> bool:
        """Whether x is an array of this shape within the bounds, of a dtype that casts to ours."""
        if not isinstance(x, np.ndarray):
            return False
        low, high = self._bounds
        fits = x.shape == self.shape and np.can_cast(x.dtype, self.dtype)
        return bool(fits and (x.size == 0 or (x.min() >= low and x.max() <= high)))

    def _description(self) -> dict[str, Any]:
        """The constructor arguments as JSON values: spaces with equal ones are equal."""
        return {
            "low": self._bounds[0],
            "high": self._bounds[1],
            "shape": list(self.shape),
            "dtype": np.dtype(self.dtype).name,
        }

    def to_json(self) -> str:
        """The space as JSON text; ``mm_envs.spaces.from_json`` reads it back."""
        return to_json(self)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UniformBox)
            and type(self) is type(other)
            and self._description() == other._description()
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.shape, self._bounds))

    def __repr__(self) -> str:
        words = ", ".join(f"{key}={value}" for key, value in self._description().items())
        return f"{type(self).__name__}({words})"

    def __getstate__(self) -> dict[str, Any]:
        arrays = {"low", "high", "bounded_below", "bounded_above"}
        return {key: value for key, value in self.__dict__.items() if key not in arrays}

    def __setstate__(self, state: Iterable[tuple[str, Any]] | Mapping[str, Any]) -> None:
        self.__dict__.update(dict(state))
        self._set_bounds(*self._bounds)


class Image(UniformBox):
    """A picture: uint8 of shape (channels, height, width), 0 to 255.

    Raises:
        ValueError: A side is below 36 pixels (smaller pictures do not pass through common encoders), or the
            number of channels is neither 1 (grey) nor 3 (RGB).
    """

    def __init__(self, height: int, width: int, channels: int = 3, seed: int | None = None) -> None:
        _check_picture(height, width, channels)
        super().__init__(0, 255, (channels, height, width), np.uint8, seed)

    def _description(self) -> dict[str, Any]:
        channels, height, width = self.shape
        return {"height": height, "width": width, "channels": channels}


class Video(UniformBox):
    """Pictures over time: uint8 of shape (frames, channels, height, width), 0 to 255."""

    def __init__(
        self, frames: int, height: int, width: int, channels: int = 3, seed: int | None = None
    ) -> None:
        _check_picture(height, width, channels)
        if frames < 1:
            raise ValueError(f"frames={frames} is below 1: a video has at least one frame")
        super().__init__(0, 255, (frames, channels, height, width), np.uint8, seed)

    def _description(self) -> dict[str, Any]:
        frames, channels, height, width = self.shape
        return {"frames": frames, "height": height, "width": width, "channels": channels}


def _check_picture(height: int, width: int, channels: int) -> None:
    if min(height, width) < MINIMUM_SIDE:
        raise ValueError(
            f"a picture of {height}x{width} pixels is below {MINIMUM_SIDE}x{MINIMUM_SIDE}: enlarge it"
        )
    if channels not in (1, 3):
        raise ValueError(f"channels={channels} is neither 1 (grey) nor 3 (RGB): convert the picture")


class Audio(UniformBox):
    """Sound: float32 of shape (samples,), -1 to 1, with its sample rate in hertz."""

    def __init__(self, samples: int, sample_rate: int, seed: int | None = None) -> None:
        if samples < 1 or sample_rate < 1:
            raise ValueError(f"samples={samples} and sample_rate={sample_rate} must be at least 1")
        self.sample_rate = sample_rate
        super().__init__(-1.0, 1.0, (samples,), np.float32, seed)

    def _description(self) -> dict[str, Any]:
        return {"samples": self.shape[0], "sample_rate": self.sample_rate}


class Tokens(UniformBox):
    """Words: int64 ids of shape (length,), padded with 0, with their tokenizer.

    Two Tokens spaces are equal only if their tokenizers have the same digest.
    """

    def __init__(self, length: int, vocabulary: Tokenizer, seed: int | None = None) -> None:
        self.vocabulary = vocabulary
        super().__init__(0, len(vocabulary) - 1, (length,), np.int64, seed)

    def _description(self) -> dict[str, Any]:
        return {"length": self.shape[0], "words": len(self.vocabulary), "vocabulary": self.vocabulary.digest}


class Vector(UniformBox):
    """Numbers: float32 of shape (size,) between two bounds."""

    def __init__(
        self, size: int, low: float = -np.inf, high: float = np.inf, seed: int | None = None
    ) -> None:
        super().__init__(low, high, (size,), np.float32, seed)

    def _description(self) -> dict[str, Any]:
        return {"size": self.shape[0], "low": self._bounds[0], "high": self._bounds[1]}


class Count(UniformBox):
    """One whole number from 0 to a maximum, int64 of shape (1,): a length, or presence (maximum 1)."""

    def __init__(self, maximum: int, seed: int | None = None) -> None:
        super().__init__(0, maximum, (1,), np.int64, seed)

    def _description(self) -> dict[str, Any]:
        return {"maximum": self._bounds[1]}


class Candidates(UniformBox):
    """Several entries of one space to choose among: its shape with a leading dimension.

    Example:
        >>> space = Candidates(Image(36, 48), 5)
        >>> space.shape, space.single
        ((5, 3, 36, 48), Image(height=36, width=48, channels=3))
    """

    def __init__(self, single: UniformBox, count: int, seed: int | None = None) -> None:
        if count < 1:
            raise ValueError(f"count={count} is below 1: give at least one candidate")
        self.single = single
        super().__init__(*single._bounds, (count, *single.shape), single.dtype, seed)

    def _description(self) -> dict[str, Any]:
        return {"count": self.shape[0], "of": repr(self.single)}


class Batched(UniformBox):
    """Several elements of one space: the shape of ``single`` with a leading dimension."""

    def __init__(self, single: UniformBox, n: int, seed: Any = None) -> None:
        self.single = single
        super().__init__(*single._bounds, (n, *single.shape), single.dtype, seed)

    def _description(self) -> dict[str, Any]:
        return {"n": self.shape[0], "of": repr(self.single)}


@batch_space.register(UniformBox)
def _batch(space: UniformBox, n: int = 1) -> Batched:
    return Batched(space, n, seed=space.np_random.integers(2**31).item())


_KINDS: dict[str, type[UniformBox]] = {
    kind.__name__: kind for kind in (UniformBox, Image, Video, Audio, Tokens, Vector, Count, Candidates)
}


_INFINITIES = {"inf": np.inf, "-inf": -np.inf}


def _dump(space: gym.Space[Any]) -> dict[str, Any]:
    if isinstance(space, gym.spaces.Dict):
        return {"kind": "Dict", "spaces": {key: _dump(part) for key, part in space.items()}}
    if isinstance(space, gym.spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, Batched):
        return {"kind": "Batched", "n": space.shape[0], "single": _dump(space.single)}
    if isinstance(space, Candidates):
        return {"kind": "Candidates", "count": space.shape[0], "single": _dump(space.single)}
    if isinstance(space, Tokens):
        return {"kind": "Tokens", "length": space.shape[0], "vocabulary": to_plain(space.vocabulary)}
    if isinstance(space, UniformBox):
        values = space._description()
        for key in {"low", "high"} & values.keys():
            values[key] = values[key] if np.isfinite(values[key]) else str(float(values[key]))
        return {"kind": type(space).__name__, **values}
    raise ValueError(f"{space} has no JSON form: use the spaces of mm_envs.spaces, Dict or Discrete")


def _load(values: Mapping[str, Any]) -> gym.Space[Any]:
    arguments = dict(values)
    kind = arguments.pop("kind", None)
    if kind == "Dict":
        return gym.spaces.Dict({key: _load(part) for key, part in arguments["spaces"].items()})
    if kind == "Discrete":
        return gym.spaces.Discrete(arguments["n"], start=arguments["start"])
    if kind == "Batched":
        return batch_space(_load(arguments["single"]), arguments["n"])
    check_one_of("kind", kind, ("Dict", "Discrete", "Batched", *_KINDS))
    if kind == "Candidates":
        arguments["single"] = _load(arguments["single"])
    if kind == "Tokens":
        arguments["vocabulary"] = from_plain(arguments["vocabulary"])
    if "shape" in arguments:
        arguments["shape"] = tuple(arguments["shape"])
    for key in {"low", "high"} & arguments.keys():
        arguments[key] = _INFINITIES.get(arguments[key], arguments[key])
    return _KINDS[kind](**arguments)


def to_json(space: gym.Space[Any]) -> str:
    """A space (ours, Dict or Discrete) as JSON text, vocabulary included.

    Raises:
        ValueError: The space is of another kind.
    """
    return json.dumps(_dump(space))


def from_json(text: str) -> gym.Space[Any]:
    """The space that ``to_json`` wrote."""
    return _load(json.loads(text))
