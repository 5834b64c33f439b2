"""What an agent and its training are, as JSON values that can be compared later on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch

from agents.sb3.environment import describe_environment
from mm_envs.engine.snapshot import refuse_other
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.spaces import Tokens, to_json
from mm_envs.tokenizers.table import from_plain

if TYPE_CHECKING:
    from agents.sb3.train import Agent

_PACKAGES = ("mm-envs", "torch", "stable-baselines3", "gymnasium", "numpy")
# Where the files of a dataset are may change; whether they are the same is said by its fingerprint.
_PLACES = ("path", "cache")


def describe(agent: Agent) -> dict[str, Any]:
    """The algorithm with its settings, the policy, the environment with its spaces, and the packages.

    Args:
        agent: The agent.
    """
    return {
        "algo": agent.algo,
        "seed": agent.seed,
        "settings": asdict(agent.settings),
        "policy": agent.policy,
        "environment": describe_environment(agent.model.env),
        "dataset": _dataset(agent),
        **describe_spaces(agent.model.observation_space, agent.model.action_space),
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def describe_training(agent: Agent) -> dict[str, Any]:
    """``describe``, and what else decides how a training goes on: the engine, the device, the threads.

    Args:
        agent: The agent, in a ``MultimodalVectorEnv``.
    """
    envs = engine_of(agent)
    whole = {
        **describe(agent),
        "engine": envs.configuration,
        "device": str(agent.model.device),
        "threads": torch.get_num_threads(),
    }
    return dict(json.loads(json.dumps(whole, default=repr)))


def engine_of(agent: Agent) -> MultimodalVectorEnv:
    """The environment of an agent, if its state can be kept.

    Raises:
        ValueError: It is another one, or something is wrapped around it.
    """
    envs = getattr(agent.model.env, "envs", None)
    if not isinstance(envs, MultimodalVectorEnv):
        raise ValueError(
            f"the state of an environment of type {type(envs or agent.model.env).__name__} cannot be kept: "
            "give make_agent what gym.make_vec makes, without wrappers, or train without checkpoints"
        )
    return envs


def refuse_other_training(was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses an agent that is not the one whose training shall go on; other packages get a warning.

    Args:
        was: ``describe_training`` of the training.
        now: That of the agent that shall go on with it.

    Raises:
        ValueError: Something differs; the sentence says what it was and what it is.
    """
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
    for name, said in others.items():
        old, new = (one.get(name, one["versions"].get(name)) for one in (was, now))
        if old != new:
            warnings.warn(
                f"{said}: {old} when the training began and {new} now, so its last bits may differ",
                stacklevel=3,
            )


def describe_spaces(observation: gym.Space[Any], action: gym.Space[Any]) -> dict[str, Any]:
    """The spaces and the digests of their vocabularies.

    Args:
        observation: The Dict of one observation.
        action: The space of one action.
    """
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


def _dataset(agent: Agent) -> dict[str, str]:
    """The name and the fingerprint of the dataset, where there is one."""
    task = getattr(getattr(agent.model.env, "envs", None), "task", None)
    return {} if task is None else {"name": task.dataset.name, "fingerprint": task.fingerprint()}


def _plain(space: gym.Space[Any]) -> Any:
    try:
        return json.loads(to_json(space))
    except ValueError:
        return {"kind": type(space).__name__, "repr": repr(space)}


def _short(space: Mapping[str, Any] | None) -> str:
    """A space in a few words, a vocabulary by its digest."""
    if space is None:
        return "missing"
    said = {key: value for key, value in space.items() if key != "kind"}
    if "vocabulary" in said:
        said["vocabulary"] = from_plain(said["vocabulary"]).digest
    return f"{space['kind']}({', '.join(f'{key}={value}' for key, value in said.items())})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
