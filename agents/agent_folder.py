"""Trained policies in folders: weights as safetensors, everything else as JSON, nothing that runs code.

The .zip files of Stable-Baselines3 are read with cloudpickle, which runs whatever code they hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from agents.compression.sparse import unpacked
from agents.description import describe, describe_spaces, refuse_other_spaces, single_spaces
from agents.encoders.choice import check_stored
from agents.policy_folder import CONFIG, WEIGHTS, is_int8, read_json, refuse_other_task, write_folder
from agents.state import copy_tensors
from agents.store import load_tensors
from agents.trainer import Trainer
from agents.trainers import make_settings, make_trainer, trainer_class
from mm_envs.names import refuse_unknown

_ENTRIES = ("algo", "seed", "settings", "policy", "environment", "observation_space", "action_space")


def save(trainer: Trainer, directory: str | Path) -> Path:
    """Writes the policy of a trainer into a folder, made if need be.

    Optimizer and replay buffer are not saved: a loaded agent acts as the saved one, and its training starts
    with a fresh optimizer. ``agents.checkpoints`` keeps what ``resume`` needs. Returns the folder.

    Raises:
        ValueError: The trainer is that of a union.
    """
    if trainer.members:
        raise ValueError("a union has several policies: save(trainer.members[NAME], folder) saves one")
    directory = Path(directory)
    config = {"steps": trainer.step, **describe(trainer), **trainer.config()}
    write_folder(directory, trainer.weights(), config)
    return directory


def read_config(directory: str | Path) -> dict[str, Any]:
    """What ``save`` wrote about an agent, as plain values that nothing has checked.

    Never make an environment of ``["environment"]`` unchecked, since a name in it may run code:
    ``agents.environment.stored_environment`` gives what is safe.

    Raises:
        FileNotFoundError: The folder holds no agent.
        ValueError: It is damaged, or was written by another format.
    """
    path = Path(directory) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the folder that an agent was saved to")
    config = read_json(path)
    missing = [name for name in _ENTRIES if name not in config]
    if missing:
        raise ValueError(f"{path} has no entry {missing[0]!r}: save the agent again")
    return config


def load(directory: str | Path, envs: Any, device: torch.device | str | None = None) -> Trainer:
    """The agent of a folder, in an environment with the same spaces.

    Nothing that the folder names is run: of its environment only the spaces are compared, and the rest has
    to be numbers and known names.

    Args:
        directory: The folder that ``save`` wrote.
        envs: The environment; any number of rows.
        device: Where the policy lives; None for the device of the environment.

    Raises:
        FileNotFoundError: The folder holds no agent.
        ValueError: A space of the environment is not the one that the agent was trained with, or the file is
            damaged, or its weights are int8.
    """
    directory = Path(directory)
    config = read_config(directory)
    if is_int8(config):
        raise ValueError(
            f"{directory} holds int8 weights, which are not trained: use policy_folder.load_policy"
        )
    kind, policy = trainer_class(config["algo"]), config["policy"]
    settings = make_settings(config["algo"], config["settings"])
    if not isinstance(policy, dict):
        raise ValueError(f"{directory / CONFIG} has no arguments of a policy: save the agent again")
    refuse_unknown("the policy of an agent", policy, kind.stored_policy_arguments())
    refuse_other_spaces(config, describe_spaces(*single_spaces(envs)))
    check_stored(policy)
    about = {"seed": config["seed"], "settings": settings, "device": device, **policy}
    trainer = make_trainer(config["algo"], envs, **about)
    if "spaces" in config:
        refuse_other_task(config, trainer.envs.task, directory / CONFIG)
    weights = trainer.weights()
    copy_tensors(weights, unpacked(load_tensors(directory / WEIGHTS), weights), "policy")
    return trainer
