"""A trainer and its environment as JSON values, which can be compared later."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import gymnasium as gym
import torch

from agents.environment import describe_environment
from agents.trainer import Trainer
from mm_envs.engine.snapshot import refuse_other
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.spaces import Tokens, to_json
from mm_envs.tokenizers.table import from_plain

_PACKAGES = ("mm-envs", "torch", "stable-baselines3", "gymnasium", "numpy")
# The files of a dataset may move; its fingerprint tells whether they are the same.
_PLACES = ("path", "cache")


def describe(trainer: Trainer) -> dict[str, Any]:
    """The algorithm with its settings, the policy, the environment with its spaces, and the packages."""
    envs = trainer.envs
    task = getattr(getattr(envs, "unwrapped", None), "task", None)
    return {
        "algo": trainer.algo,
        "seed": trainer.seed,
        "settings": asdict(trainer.settings),
        "policy": trainer.policy_arguments,
        "environment": describe_environment(envs),
        "dataset": {} if task is None else {"name": task.dataset.name, "fingerprint": task.fingerprint()},
        **describe_spaces(*single_spaces(envs)),
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def describe_training(trainer: Trainer) -> dict[str, Any]:
    """``describe``, and what else decides how a training goes on: the engine, the device, the threads.

    Raises:
        ValueError: The environment is not ours, or is wrapped.
    """
    if trainer.members:
        return {
            "union": {"sampling": trainer.envs.sampling, "threshold": trainer.envs.threshold},
            "members": {name: describe_training(one) for name, one in trainer.members.items()},
        }
    whole = {
        **describe(trainer),
        "engine": engine_of(trainer).configuration,
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
    }
    return dict(json.loads(json.dumps(whole, default=repr)))


def engine_of(trainer: Trainer) -> MultimodalVectorEnv:
    """The environment of a trainer, if its state can be kept.

    Raises:
        ValueError: It is not ours, or is wrapped.
    """
    envs = trainer.envs
    if not isinstance(envs, MultimodalVectorEnv):
        raise ValueError(
            f"the state of an environment of type {type(envs).__name__} cannot be kept: give make_trainer "
            "what gym.make_vec makes, without wrappers, or train without checkpoints"
        )
    return envs


def refuse_other_training(was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses a trainer that is not the one of a training to resume; other packages get a warning.

    Both are of ``describe_training``.

    Raises:
        ValueError: Something differs; the message names both values.
    """
    if "members" in was or "members" in now:
        before, after = was.get("members", {}), now.get("members", {})
        names = (", ".join(one) or "one without a union" for one in (before, after))
        first, second = ({"environments": one} for one in names)
        refuse_other(first, second, "the training")
        refuse_other(was["union"], now["union"], "the union")
        for name in before:
            refuse_other_training(before[name], after[name])
        return
    for name in ("algo", "seed", "device"):
        refuse_other({name: was[name]}, {name: now[name]}, "the training")
    for name, owner in (("settings", "the algorithm"), ("policy", "the policy")):
        refuse_other(was[name], now[name], owner)
    before, after = was["environment"], now["environment"]
    refuse_other({"id": before.get("id")}, {"id": after.get("id")}, "the environment")
    refuse_other(_arguments(before), _arguments(after), "the environment")
    refuse_other(_digests(was), _digests(now), "the observations")
    refuse_other_spaces(was, now)
    refuse_other(was["engine"], now["engine"], "the environment")
    others = {"threads": "torch's threads", **{package: package for package in _PACKAGES}}
    for name, label in others.items():
        old, new = (one.get(name, one["versions"].get(name)) for one in (was, now))
        if old != new:
            warnings.warn(
                f"{label}: {old} when the training began and {new} now, so its last bits may differ",
                stacklevel=3,
            )


def single_spaces(envs: Any) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """The spaces of one observation and one action of a vector environment, of ours or of a library."""
    if isinstance(envs, gym.vector.VectorEnv):
        return envs.single_observation_space, envs.single_action_space
    return envs.observation_space, envs.action_space


def describe_spaces(observation: gym.Space[Any], action: gym.Space[Any]) -> dict[str, Any]:
    """The spaces of one observation (a Dict) and one action, and the digests of vocabularies."""
    assert isinstance(observation, gym.spaces.Dict)
    entries = observation.items()
    return {
        "observation_space": {key: _plain(space) for key, space in entries},
        "action_space": _plain(action),
        "vocabularies": {key: space.vocabulary.digest for key, space in entries if isinstance(space, Tokens)},
    }


def refuse_other_spaces(was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses an environment whose spaces are not those that an agent was trained with.

    Raises:
        ValueError: A space differs.
    """
    saved = {**was["observation_space"], "action": was["action_space"]}
    given = {**now["observation_space"], "action": now["action_space"]}
    for key in [*saved, *(key for key in given if key not in saved)]:
        if saved.get(key) != given.get(key):
            raise ValueError(
                f"space {key!r} is {_short(given.get(key))}, but the agent was trained with "
                f"{_short(saved.get(key))}: make the environment as config.json says"
            )


def _arguments(environment: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = environment.get("kwargs", {})
    return {name: value for name, value in kwargs.items() if name not in _PLACES}


def _digests(training: Mapping[str, Any]) -> dict[str, Any]:
    return {f"vocabulary {key!r}": digest for key, digest in training["vocabularies"].items()}


def _plain(space: gym.Space[Any]) -> Any:
    try:
        return json.loads(to_json(space))
    except ValueError:
        return {"kind": type(space).__name__, "repr": repr(space)}


def _short(space: Mapping[str, Any] | None) -> str:
    """A space in a few words, a vocabulary by its digest."""
    if space is None:
        return "missing"
    entries = {key: value for key, value in space.items() if key != "kind"}
    if "vocabulary" in entries:
        entries["vocabulary"] = from_plain(entries["vocabulary"]).digest
    return f"{space['kind']}({', '.join(f'{key}={value}' for key, value in entries.items())})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
