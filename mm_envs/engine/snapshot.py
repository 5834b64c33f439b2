"""Snapshots of the state of an environment, as tensors that any file of tensors can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from mm_envs.engine.render import Result

_ABOUT = "about"


def pack(
    tensors: Mapping[str, Tensor], results: Mapping[int, Result], configuration: Mapping[str, Any]
) -> dict[str, Tensor]:
    """A snapshot: copies of all tensors that decide what comes next, the rest as JSON in one more.

    ``results`` are the last results of rows; ``configuration``, as JSON values, must be equal to continue.
    """
    about = {
        "configuration": configuration,
        "results": {row: asdict(result) for row, result in results.items()},
    }
    encoded = torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8)
    return {**{name: tensor.clone() for name, tensor in tensors.items()}, _ABOUT: encoded}


def unpack(
    snapshot: Mapping[str, Tensor], like: Mapping[str, Tensor], configuration: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[int, Result]]:
    """The tensors and results of a snapshot from ``pack``, perhaps by way of a file.

    ``like`` holds tensors of the expected names, shapes, dtypes and device.

    Raises:
        ValueError: The snapshot is that of another environment, or is none.
    """
    about = _about(snapshot)
    refuse_other(about["configuration"], configuration, "the environment")
    return _copies(snapshot, like), _results(about)


def refuse_other(was: Mapping[str, Any], now: Mapping[str, Any], owner: str) -> None:
    """Raises ValueError where plain values of an ``owner`` differ from what they were.

    Example:
        >>> refuse_other({"num_envs": 4}, {"num_envs": 8}, "the environment")
        Traceback (most recent call last):
        ValueError: num_envs of the environment was 4 and is now 8: give what it was
    """
    for name in (*was, *(name for name in now if name not in was)):
        before, after = was.get(name, "not given"), now.get(name, "not given")
        if before != after:
            raise ValueError(f"{name} of {owner} was {before} and is now {after}: give what it was")


def _copies(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a snapshot on the device of others that have the same names, shapes and dtypes."""
    for name in (*like, *state):
        if name != _ABOUT and (name not in like or name not in state):
            there = "lacks" if name in like else "holds an unknown"
            raise ValueError(f"the snapshot {there} entry {name!r}: take it anew")
    for name, expected in like.items():
        given = state[name]
        if given.shape != expected.shape or given.dtype != expected.dtype:
            raise ValueError(
                f"entry {name!r} of the snapshot has shape {tuple(given.shape)} and {given.dtype}, "
                f"not {tuple(expected.shape)} and {expected.dtype}: take it anew"
            )
    return {name: torch.empty_like(expected).copy_(state[name]) for name, expected in like.items()}


def _about(state: Mapping[str, Tensor]) -> Any:
    try:
        about = json.loads(bytes(state[_ABOUT].to(torch.uint8).flatten().tolist()))
        if isinstance(about["configuration"], dict) and isinstance(about["results"], dict):
            return about
    except (KeyError, TypeError, ValueError):
        pass
    raise ValueError(f"this is no snapshot of an environment: its entry {_ABOUT!r} is missing or damaged")


def _results(about: Any) -> dict[int, Result]:
    try:
        return {
            int(row): Result(str(one["answer"]), tuple(one["good"]), one["reward"], one["utility"])
            for row, one in about["results"].items()
        }
    except (KeyError, TypeError, ValueError):
        raise ValueError("the results in the snapshot of an environment are damaged: take it anew") from None
