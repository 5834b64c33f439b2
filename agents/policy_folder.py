"""A policy in a folder: its weights as safetensors, and what it is as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.policy import ResponsePolicy
from agents.sb3.store import load_tensors, write_tensors
from mm_envs.answers import to_config
from mm_envs.names import at_least, whole
from mm_envs.spaces import to_json
from mm_envs.tasks.task import Task

FORMAT = 1
_WEIGHTS, _CONFIG = "policy.safetensors", "policy.json"
_SIZES = ("features", "hidden")


def save_policy(policy: ResponsePolicy, task: Task, folder: str | Path) -> None:
    """Writes a policy to a folder, which is made if it is missing; ``policy.json`` comes last.

    Args:
        policy: The policy.
        task: The task that it answers.
        folder: The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "format": FORMAT,
        **{name: getattr(policy, name) for name in _SIZES},
        "spaces": _spaces(task),
    }
    (folder / _CONFIG).unlink(missing_ok=True)
    write_tensors(folder / _WEIGHTS, policy.state_dict())
    partial = folder / f"{_CONFIG}.partial"
    partial.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / _CONFIG)


def load_policy(folder: str | Path, task: Task) -> ResponsePolicy:
    """The policy of a folder, on the CPU.

    Args:
        folder: What ``save_policy`` wrote.
        task: The task that it shall answer.

    Raises:
        FileNotFoundError: There is no policy in the folder.
        ValueError: It is damaged, of another format, or answers another task.
    """
    path = Path(folder) / _CONFIG
    if not path.is_file():
        raise FileNotFoundError(_missing(path))
    config = _read(path)
    for key, space in _spaces(task).items():
        if config["spaces"].get(key) != space:
            raise ValueError(
                f"{path}: the policy knows space {key!r} as {_short(config['spaces'].get(key))}, and the "
                f"task has {_short(space)}: make the task that the policy was trained on"
            )
    sizes = {name: config[name] for name in _SIZES}
    weights = load_tensors(path.with_name(_WEIGHTS))
    try:
        with torch.device("meta"):
            # Without memory: a file cannot have more of it taken than its weights need.
            _refuse_other(ResponsePolicy(task, **sizes).state_dict(), weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path.with_name(_WEIGHTS)} does not fit {path.name}: {error}") from None
    policy = ResponsePolicy(task, **sizes)
    policy.load_state_dict(weights)
    return policy


def _missing(path: Path) -> str:
    """Why there is no policy: perhaps the folder is that of a training, whose agent is another network."""
    here = path.parent
    if any((folder / "config.json").is_file() for folder in (here, here / "agent")):
        return (
            f"{here} is a folder of `mm-envs train`: give a policy that agents.policy_folder.save_policy "
            "wrote, see docs/human_feedback.md"
        )
    return f"{path} does not exist: give a folder that agents.policy_folder.save_policy wrote"


def _refuse_other(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Refuses weights that are missing, too many, of another shape or dtype, or no numbers."""
    for name in [*wanted, *(name for name in given if name not in wanted)]:
        kinds = [(one[name].shape, one[name].dtype) for one in (wanted, given) if name in one]
        if len(kinds) != 2 or kinds[0] != kinds[1]:
            raise ValueError(f"weights {name!r} are not of the right shape")
        if not bool(given[name].isfinite().all()):
            raise ValueError(f"weights {name!r} are not finite")


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']!r} is not {FORMAT}")
        for name in _SIZES:
            whole(name, config[name])
            at_least(name, config[name], 1)
        if not isinstance(config["spaces"], dict):
            raise ValueError("spaces is no object")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}): save the policy again"
        ) from None
    return dict(config)


def _spaces(task: Task) -> dict[str, str]:
    """The spaces of contexts, answers and what is heard between turns as JSON texts, with vocabularies."""
    answer = json.dumps(to_config(task.answer), sort_keys=True)
    context = {key: to_json(space) for key, space in task.context_spaces.items()}
    turns = {f"turns/{key}": to_json(space) for key, space in task.turn_spaces.items()}
    return {**context, **turns, "answer": answer}


def _short(text: object) -> str:
    return f"{text:.80}" if isinstance(text, str) else "nothing"
