"""Snapshots: the state of all rows of an environment as tensors for safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.engine.render import Result

if TYPE_CHECKING:
    from mm_envs.engine.vector import MultimodalVectorEnv

_ABOUT = "about"


def take_snapshot(envs: MultimodalVectorEnv) -> dict[str, Tensor]:
    """Where all rows of an environment stand: copies of tensors, and the rest as JSON in bytes of one more.

    Args:
        envs: The environment.

    Raises:
        gymnasium.error.ResetNeeded: No row stands anywhere before the first reset.

    Example:
        >>> from mm_envs.engine.vector import MultimodalVectorEnv
        >>> envs, twin = (MultimodalVectorEnv(2, "classify", dataset="digits") for _ in range(2))
        >>> observation, _ = envs.reset(seed=7)
        >>> again = twin.load_state_dict(envs.state_dict())
        >>> torch.equal(again["image"], observation["image"])
        True
    """
    if not envs.started:
        raise gym.error.ResetNeeded("Cannot call envs.state_dict() before calling envs.reset()")
    results = {row: asdict(result) for row, result in envs._results.items()}
    about = {"configuration": configuration(envs), "results": results}
    encoded = torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8)
    return {**{name: tensor.clone() for name, tensor in _standing(envs).items()}, _ABOUT: encoded}


def restore_snapshot(envs: MultimodalVectorEnv, state: Mapping[str, Tensor]) -> None:
    """Puts all rows where they stood; all that can be refused is looked at before anything changes.

    Args:
        envs: An environment of the same configuration.
        state: What ``take_snapshot`` gave, perhaps by way of a file.

    Raises:
        ValueError: The snapshot is that of another environment, or is none.
    """
    about = _about(state)
    refuse_other(about["configuration"], configuration(envs), "the environment")
    results, tensors = _results(about), _copies(state, _standing(envs))
    states = {key: tensors[f"state/{key}"] for key in envs._state}
    spaces = envs.observation_space
    assert isinstance(spaces, gym.spaces.Dict)
    for key, value in states.items():
        # Hidden entries have no space.
        if key in spaces.spaces and not spaces[key].contains(value.cpu().numpy()):
            raise ValueError(f"entry 'state/{key}' of the snapshot is out of range: take it anew")
    envs._rows.restore(tensors["key"], tensors["item"])
    envs._state, envs._results, envs.started = states, results, True
    envs._length, envs._finished = tensors["length"], tensors["finished"]
    envs._return, envs._score = tensors["return"], tensors["score"]


def configuration(envs: MultimodalVectorEnv) -> dict[str, Any]:
    """What two environments must have in common to do the same from one snapshot, as JSON values.

    Args:
        envs: The environment.
    """
    return {
        "task": type(envs.task).__name__,
        "dataset": envs.task.dataset.name,
        "dataset fingerprint": envs.task.fingerprint(),
        "feedback": type(envs.feedback).__name__,
        "split": envs.split,
        "num_envs": envs.num_envs,
        "first_row": envs.first_row,
        "group_size": envs.group_size,
        "autoreset_mode": envs.autoreset_mode.value,
        "reward": envs.reward,
        "max_episode_steps": envs._max_steps,
    }


def refuse_other(was: Mapping[str, Any], now: Mapping[str, Any], owner: str) -> None:
    """Refuses what differs, by name.

    Args:
        was: Names and plain values as they were.
        now: The same as they are.
        owner: Whose they are.

    Raises:
        ValueError: An entry differs.

    Example:
        >>> refuse_other({"num_envs": 4}, {"num_envs": 8}, "the environment")
        Traceback (most recent call last):
        ValueError: num_envs of the environment was 4 and is now 8: give what it was
    """
    for name in (*was, *(name for name in now if name not in was)):
        before, after = was.get(name, "not given"), now.get(name, "not given")
        if before != after:
            raise ValueError(f"{name} of {owner} was {before} and is now {after}: give what it was")


def _standing(envs: MultimodalVectorEnv) -> dict[str, Tensor]:
    """All tensors that decide what comes next."""
    numbers = {"length": envs._length, "return": envs._return, "score": envs._score}
    counters = {"key": envs._rows.key, "item": envs._rows.item, "finished": envs._finished}
    return {**counters, **numbers, **{f"state/{key}": value for key, value in envs._state.items()}}


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
