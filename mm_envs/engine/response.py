"""Responses as people and tickets give them: words, names and numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeGuard

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from mm_envs.tasks.task import Task, TokenTask
from mm_envs.tokenizers import EOS


def in_words(task: Task) -> TypeGuard[TokenTask]:
    """Whether the answer to a task is written word by word."""
    return isinstance(task, TokenTask) and bool(task.state_spaces)


def read_response(task: Task, response: Any) -> Tensor:
    """One response of a task, from words or from numbers.

    Args:
        task: The task.
        response: Words, the name of a class, numbers, or numbers as text (``"[5, 3, 1]"``).

    Returns:
        As the oracle of the task gives it, without leading dimension; words end with ``<eos>``.

    Raises:
        ValueError: It is no answer to this task.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> read_response(make_task("vqa"), "yes")
        tensor(0)
        >>> read_response(make_task("vqa", answer="tokens"), "yes")
        tensor([3, 1, 0])
    """
    if isinstance(response, Tensor):
        response = response.cpu().numpy()
    if isinstance(response, str):
        numbers = _numbers(response)
        response = _named(task, response) if numbers is None else numbers
    answer, space = _tensor(response), task.action_space
    if in_words(task):
        return _ended(task, answer, response)
    if isinstance(space, gym.spaces.Discrete):
        fits, kind = answer.numel() == 1 and not answer.is_floating_point(), f"one of {int(space.n)} classes"
        answer, dtype = answer.flatten()[0] if fits else answer, torch.int64
    else:
        fits, kind = tuple(answer.shape) == space.shape, f"numbers of shape {space.shape}"
        dtype = torch.float32
    if not fits:
        raise ValueError(f"response={response!r} is no answer: give {kind}")
    return answer.to(dtype)


def _numbers(text: str) -> Any:
    """The list of numbers that a text holds, or None."""
    if not text.strip().startswith("["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _tensor(response: Any) -> Tensor:
    """Numbers as a tensor; what is none of torch's kinds of numbers is no answer to any task."""
    try:
        return torch.as_tensor(np.asarray(response))
    except (TypeError, ValueError):
        raise ValueError(
            f"response={response!r:.60} holds something else than numbers of one shape: give words, or "
            "numbers as [5, 3, 1]"
        ) from None


def _named(task: Task, text: str) -> Any:
    """Numbers of an answer in words."""
    if in_words(task):
        known = task.vocabulary.ids
        return [known[_known(word, known, "word")] for word in text.split()]
    if not isinstance(task.action_space, gym.spaces.Discrete):
        raise ValueError(f"response={text!r} is no vector: give its numbers, as [0.1, -0.2, ...]")
    names = {task.words(torch.tensor(i)): i for i in range(int(task.action_space.n))}
    return names[_known(text.strip(), names, "answer")]


def _known(word: str, known: Mapping[str, int], kind: str) -> str:
    if word in known:
        return word
    near = get_close_matches(word[:60], known, n=3) or list(known)[:8]
    raise ValueError(f"response: {kind} {word!r:.60} is unknown: did you mean {', '.join(near)}?")


def _ended(task: TokenTask, ids: Tensor, response: Any) -> Tensor:
    """Token ids of the length of the episode, with ``<eos>`` where they end before it."""
    if ids.numel() == 0:
        ids = ids.to(torch.int64).flatten()
    if ids.ndim != 1 or ids.is_floating_point() or len(ids) > task.horizon:
        raise ValueError(
            f"response={response!r} is no answer: give at most {task.horizon} words or their ids"
        )
    if len(ids) == task.horizon:
        return ids.to(torch.int64)
    padded = torch.nn.functional.pad(ids.to(torch.int64), (0, task.horizon - len(ids)))
    if not bool((ids == EOS).any()):
        padded[len(ids)] = EOS
    return padded
