"""A policy in a folder: its weights as safetensors, and what it is as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym

from agents.policy import ResponsePolicy
from agents.sb3.store import load_tensors, write_tensors
from mm_envs.engine.response import in_words
from mm_envs.names import whole
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
        raise FileNotFoundError(f"{path} does not exist: give a folder that save_policy wrote")
    config = _read(path)
    for key, space in _spaces(task).items():
        if config["spaces"].get(key) != space:
            raise ValueError(
                f"{path}: the policy knows space {key!r} as {_short(config['spaces'].get(key))}, and the "
                f"task has {_short(space)}: make the task that the policy was trained on"
            )
    policy = ResponsePolicy(task, **{name: config[name] for name in _SIZES})
    weights = load_tensors(path.with_name(_WEIGHTS))
    try:
        policy.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path.with_name(_WEIGHTS)} does not fit {path.name}: {error}") from None
    return policy


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']!r} is not {FORMAT}")
        for name in _SIZES:
            whole(name, config[name])
        if not isinstance(config["spaces"], dict):
            raise ValueError("spaces is no object")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}): save the policy again"
        ) from None
    return dict(config)


def _spaces(task: Task) -> dict[str, str]:
    """The spaces of contexts and answers as JSON texts, vocabularies included."""
    answer: gym.Space[Any] = task.state_spaces["tokens"] if in_words(task) else task.action_space
    return {**{key: to_json(space) for key, space in task.context_spaces.items()}, "answer": to_json(answer)}


def _short(text: object) -> str:
    return f"{text:.80}" if isinstance(text, str) else "nothing"
