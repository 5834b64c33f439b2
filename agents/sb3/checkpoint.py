"""Saving and loading agents: weights as safetensors, everything else as JSON, nothing that runs code.

The .zip files of Stable-Baselines3 are read with cloudpickle, which runs whatever code they hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from agents.sb3.environment import describe_environment
from agents.sb3.extractor import policy_arguments
from agents.sb3.settings import SETTINGS, Settings
from agents.sb3.train import Agent, make_agent
from mm_envs.data.text import Vocabulary
from mm_envs.names import keywords, one_of, refuse_unknown
from mm_envs.spaces import Tokens, to_json

FORMAT = 1
_WEIGHTS, _CONFIG = "policy.safetensors", "config.json"
_ENTRIES = ("algo", "seed", "settings", "policy", "environment", "observation_space", "action_space")
_PACKAGES = ("mm-envs", "torch", "stable-baselines3", "gymnasium", "numpy")


def save(agent: Agent, directory: str | Path) -> Path:
    """Writes an agent into a folder, made if need be: ``policy.safetensors`` and ``config.json``.

    The optimiser and the replay buffer are not saved: a loaded agent acts as the saved one, and its training
    starts with a fresh optimiser.

    Args:
        agent: The agent.
        directory: The folder.

    Returns:
        The folder.
    """
    from safetensors.torch import save_model

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    save_model(agent.model.policy, str(directory / _WEIGHTS))
    config = {
        "format": FORMAT,
        "algo": agent.algo,
        "seed": agent.seed,
        "steps": agent.model.num_timesteps,
        "settings": asdict(agent.settings),
        "policy": agent.policy,
        "environment": describe_environment(agent.model.env),
        **_spaces(agent.model.observation_space, agent.model.action_space),
        "versions": {package: _version(package) for package in _PACKAGES},
    }
    (directory / _CONFIG).write_text(json.dumps(config, indent=2, default=repr) + "\n", encoding="utf-8")
    return directory


def read_config(directory: str | Path) -> dict[str, Any]:
    """What ``save`` wrote about an agent, as plain values that nobody has checked.

    Never make an environment of ``["environment"]`` as it stands, since a name in it may run code:
    ``agents.sb3.environment.stored_environment`` gives what is safe.

    Raises:
        FileNotFoundError: The folder holds no agent.
        ValueError: It was written by another format.
    """
    path = Path(directory) / _CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the folder that an agent was saved to")
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): save the agent again") from None
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise ValueError(f"format={found!r} of {path} is not {FORMAT}: save the agent again")
    missing = [name for name in _ENTRIES if name not in config]
    if missing:
        raise ValueError(f"{path} has no entry {missing[0]!r}: save the agent again")
    return dict(config)


def load(
    directory: str | Path,
    envs: gym.vector.VectorEnv[Any, Any, Any] | VecEnv,
    device: torch.device | str | None = None,
) -> Agent:
    """The agent of a folder, in an environment with the same spaces.

    Nothing that the folder names is run: of its environment only the spaces are looked at, and the rest has
    to be numbers and names that the project knows.

    Args:
        directory: The folder that ``save`` wrote.
        envs: The environment; any number of rows.
        device: Where the policy lives; None for the device of the environment.

    Raises:
        FileNotFoundError: The folder holds no agent.
        ValueError: A space of the environment is not the one that the agent was trained with, or the file is
            of another format.
    """
    from safetensors.torch import load_model

    config = read_config(directory)
    if config["algo"] not in SETTINGS:
        raise ValueError(one_of("algo", config["algo"], SETTINGS))
    single = _single_spaces(envs)
    _refuse_other(config, _spaces(*single))
    settings, policy = _settings(config), config["policy"]
    refuse_unknown("the policy of an agent", policy, keywords(policy_arguments)[0])
    agent = make_agent(config["algo"], envs, seed=config["seed"], settings=settings, device=device, **policy)
    load_model(agent.model.policy, str(Path(directory) / _WEIGHTS), device=str(agent.model.device))
    return agent


def _settings(config: Mapping[str, Any]) -> Settings:
    kind, given = SETTINGS[config["algo"]], config["settings"]
    refuse_unknown(kind.__name__, given, [field.name for field in fields(kind)])
    for name, value in given.items():
        if not (value is None or isinstance(value, (bool, int, float))):
            raise ValueError(f"{kind.__name__}: {name}={value!r} is not a number: save the agent again")
    return kind(**given)


def _single_spaces(
    envs: gym.vector.VectorEnv[Any, Any, Any] | VecEnv,
) -> tuple[gym.Space[Any], gym.Space[Any]]:
    if isinstance(envs, VecEnv):
        return envs.observation_space, envs.action_space
    return envs.single_observation_space, envs.single_action_space


def _spaces(observation: gym.Space[Any], action: gym.Space[Any]) -> dict[str, Any]:
    """The spaces and the digests of their vocabularies as plain JSON values."""
    assert isinstance(observation, gym.spaces.Dict)
    entries = observation.items()
    return {
        "observation_space": {key: _plain(space) for key, space in entries},
        "action_space": _plain(action),
        "vocabularies": {key: space.vocabulary.digest for key, space in entries if isinstance(space, Tokens)},
    }


def _plain(space: gym.Space[Any]) -> Any:
    try:
        return json.loads(to_json(space))
    except ValueError:
        return {"kind": type(space).__name__, "repr": repr(space)}


def _refuse_other(config: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    saved = {**config["observation_space"], "action": config["action_space"]}
    given = {**now["observation_space"], "action": now["action_space"]}
    for key in [*saved, *(key for key in given if key not in saved)]:
        if saved.get(key) != given.get(key):
            raise ValueError(
                f"space {key!r} is {_short(given.get(key))}, but the agent was trained with "
                f"{_short(saved.get(key))}: make the environment as config.json says"
            )


def _short(space: Mapping[str, Any] | None) -> str:
    """A space in a few words, a vocabulary by its digest."""
    if space is None:
        return "missing"
    said = {key: value for key, value in space.items() if key != "kind"}
    if "vocabulary" in said:
        said["vocabulary"] = Vocabulary(tuple(said["vocabulary"])).digest
    return f"{space['kind']}({', '.join(f'{key}={value}' for key, value in said.items())})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
