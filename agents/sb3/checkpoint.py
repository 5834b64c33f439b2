"""Saving and loading agents: weights as safetensors, everything else as JSON, nothing that runs code.

The .zip files of Stable-Baselines3 are read with cloudpickle, which runs whatever code they hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from agents.sb3.description import describe, describe_spaces, refuse_other_spaces
from agents.sb3.extractor import policy_arguments
from agents.sb3.settings import SETTINGS, Settings
from agents.sb3.train import Agent, make_agent
from mm_envs.names import keywords, one_of, refuse_unknown

FORMAT = 1
_WEIGHTS, _CONFIG = "policy.safetensors", "config.json"
_ENTRIES = ("algo", "seed", "settings", "policy", "environment", "observation_space", "action_space")


def save(agent: Agent, directory: str | Path) -> Path:
    """Writes an agent into a folder, made if need be: ``policy.safetensors`` and ``config.json``.

    The optimiser and the replay buffer are not saved: a loaded agent acts as the saved one, and its training
    starts with a fresh optimiser. ``agents.sb3.checkpoints`` keeps what a training needs to go on.

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
    config = {"format": FORMAT, "steps": agent.model.num_timesteps, **describe(agent)}
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
    refuse_other_spaces(config, describe_spaces(*single))
    settings, policy = stored_settings(config), config["policy"]
    refuse_unknown("the policy of an agent", policy, keywords(policy_arguments)[0])
    agent = make_agent(config["algo"], envs, seed=config["seed"], settings=settings, device=device, **policy)
    load_model(agent.model.policy, str(Path(directory) / _WEIGHTS), device=str(agent.model.device))
    return agent


def stored_settings(config: Mapping[str, Any]) -> Settings:
    """The settings that a file names, if they are numbers of that algorithm.

    Args:
        config: What ``read_config`` returned.

    Raises:
        ValueError: They are something else.
    """
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
