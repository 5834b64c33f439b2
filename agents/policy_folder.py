"""An answering policy in a folder: its weights as safetensors, and what it is as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.compression.int8 import quantise
from agents.compression.sparse import unpacked
from agents.decoders import DECODERS
from agents.encoders.choice import check_stored
from agents.fusion import FUSIONS
from agents.policy import ResponsePolicy
from agents.state import refuse_other_tensors
from agents.store import load_tensors, write_json, write_tensors
from mm_envs.answers import to_config
from mm_envs.names import at_least, check_one_of, whole
from mm_envs.spaces import to_json
from mm_envs.tasks.task import Task

FORMAT = 1
WEIGHTS, CONFIG, AGENT = "policy.safetensors", "config.json", "agent"
COMPRESSION, INT8 = "compression", "int8"
_SIZES = ("features", "hidden")
_NAMES: dict[str, Collection[str]] = {"fusion": FUSIONS, "decoder": DECODERS}


def save_policy(policy: ResponsePolicy, task: Task, folder: str | Path) -> None:
    """Writes a policy to a folder, which is made if it is missing; ``config.json`` comes last."""
    config = {"policy": policy.arguments, "spaces": spaces_of(task)}
    write_folder(Path(folder), policy.state_dict(), config)


def write_folder(folder: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Writes weights and configuration; a folder without ``config.json`` is not whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    write_tensors(folder / WEIGHTS, weights)
    write_json(folder / CONFIG, {"format": FORMAT, **config})


def load_policy(folder: str | Path, task: Task) -> ResponsePolicy:
    """The policy that answers a task, on the CPU, out of a folder of ``save_policy`` or of a training.

    Raises:
        FileNotFoundError: There is no policy in the folder.
        ValueError: It is damaged, of another format, of another kind, or answers another task.
    """
    folder = Path(folder)
    folder = folder / AGENT if (folder / AGENT).is_dir() else folder
    path, weights_path = folder / CONFIG, folder / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give a folder of mm-envs train, or of save_policy")
    config = read_json(path)
    if "spaces" not in config:
        raise ValueError(
            f"{path} is of algo={config.get('algo')!r}, whose policy acts step by step: give a policy that "
            "answers as a whole, of mm-envs train --algo sft or rloo"
        )
    arguments, int8 = _arguments(config, path), is_int8(config)
    refuse_other_task(config, task, path)
    weights = load_tensors(weights_path)
    try:
        with torch.device("meta"):
            # Without memory: a file cannot have more of it taken than its weights need.
            empty = ResponsePolicy(task, **arguments)
            wanted = (quantise(empty) if int8 else empty).state_dict()
        weights = unpacked(weights, wanted)
        refuse_other_tensors(wanted, weights, "policy")
        for name, tensor in weights.items():
            if not bool(tensor.isfinite().all()):
                raise ValueError(f"weights {name!r} are not finite")
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{weights_path} does not fit {path.name}: {error}") from None
    policy = ResponsePolicy(task, **arguments)
    policy = quantise(policy) if int8 else policy
    policy.load_state_dict(weights)
    return policy


def is_int8(config: Mapping[str, Any]) -> bool:
    """Whether the weights of a folder are int8, by its configuration."""
    compression = config.get(COMPRESSION)
    return isinstance(compression, dict) and compression.get("how") == INT8


def read_json(path: Path) -> dict[str, Any]:
    """The object of a configuration file.

    Raises:
        ValueError: It is no JSON object, or of another format.
    """
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): save the agent again") from None
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise ValueError(f"format={found!r} of {path} is not {FORMAT}: save the agent again")
    return dict(config)


def refuse_other_task(config: Mapping[str, Any], task: Task, path: Path) -> None:
    """Refuses a task whose contexts, answers or replies are not those that a policy was trained on.

    Raises:
        ValueError: A space differs.
    """
    known = config["spaces"]
    if not isinstance(known, dict):
        raise ValueError(f"{path} is damaged (spaces is no object): save the policy again")
    for key, space in spaces_of(task).items():
        if known.get(key) != space:
            raise ValueError(
                f"{path}: the policy knows space {key!r} as {_short(known.get(key))}, and the "
                f"task has {_short(space)}: make the task that the policy was trained on"
            )


def spaces_of(task: Task) -> dict[str, str]:
    """The spaces of contexts, answers and replies as JSON texts, with vocabularies."""
    answer = json.dumps(to_config(task.answer), sort_keys=True)
    context = {key: to_json(space) for key, space in task.context_spaces.items()}
    turns = {f"turns/{key}": to_json(space) for key, space in task.turn_spaces.items()}
    return {**context, **turns, "answer": answer}


def _arguments(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    try:
        arguments = {name: config["policy"][name] for name in (*_SIZES, *_NAMES)}
        for name in _SIZES:
            whole(name, arguments[name])
            at_least(name, arguments[name], 1)
        for name, known in _NAMES.items():
            check_one_of(name, arguments[name], known)
        arguments |= check_stored(config["policy"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}): save the policy again"
        ) from None
    return arguments


def _short(text: object) -> str:
    return f"{text:.80}" if isinstance(text, str) else "nothing"
