"""Prompts: questions of an environment, drawn before there are answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

import mm_envs
from mm_envs.engine.issue import registered_spec
from mm_envs.engine.ticket import Ticket
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Prompts
from mm_envs.names import at_least, whole
from mm_envs.tasks.task import Task

_BLOCK = 1024


class Tickets:
    """The tickets of prompts of a ``task``, each written when it is asked for.

    Args:
        envs: An environment in which the first of the prompts was asked, made by its id.
        prompts: The prompts.
    """

    def __init__(self, envs: MultimodalVectorEnv, prompts: Prompts) -> None:
        self.task, self._envs, self._prompts = envs.task, envs, prompts

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, row: int) -> str:
        """The ticket of one prompt; a ValueError if the task was not made by the id of an environment."""
        return _written(self._first, self._prompts.item[row].item(), self._prompts.key[row].tolist())

    def __iter__(self) -> Iterator[str]:
        return iter(tickets_of(self._first, self._prompts))

    @cached_property
    def _first(self) -> Ticket:
        return Ticket.parse(mm_envs.ticket(self._envs, 0))


def tickets_of(ticket: Ticket, prompts: Prompts) -> list[str]:
    """The tickets of prompts, given that of any prompt of the same environment."""
    rows = zip(prompts.item.tolist(), prompts.key.tolist(), strict=True)
    return [_written(ticket, item, key) for item, key in rows]


def _written(ticket: Ticket, item: float, key: list[int]) -> str:
    seed, row, episode = key
    return str(replace(ticket, item=int(item), seed=seed % 2**64, row=row, episode=episode))


def draw_prompts(
    task: str | Task,
    /,
    n: int,
    split: str = "train",
    seed: int = 0,
    *,
    about: Tensor | None = None,
    device: torch.device | str = "cpu",
    **arguments: Any,
) -> tuple[Prompts, Tickets]:
    """The contexts of the first episode of the first n rows of an environment.

    Row i depends on the seed and i alone, whatever n is. Items are drawn with replacement.

    Args:
        task: The id of an environment, or a task.
        n: How many.
        split: Which items: "train", "validation" or "test".
        seed: Decides the items, and the key of each prompt.
        about: The items instead, (n,) int64 indices of the dataset.
        device: Where the tensors live.
        arguments: Further arguments of the environment, if ``task`` is an id.

    Returns:
        The prompts, and their tickets (``tickets.task`` is the task).

    Example:
        >>> prompts, tickets = draw_prompts("MMVQA-v0", 3, seed=5)
        >>> len(prompts), len(tickets), tickets[2].split(":")[5]
        (3, 3, '5.2.0')
    """
    whole("n", n)
    at_least("n", n, 1, "draw at least one")
    at_least("seed", seed, 0)
    first: MultimodalVectorEnv | None = None
    blocks = []
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(n, start + _BLOCK))
        engine = {"num_envs": rows.stop - start, "first_row": start, "split": split, "device": device}
        envs = _environment(task, {**engine, **arguments})
        envs.reset(seed=seed, options={} if about is None else {"items": about[rows]})
        blocks.append(envs.prompts())
        first = first or envs
    assert first is not None
    prompts = Prompts.join(blocks)
    return prompts, Tickets(first, prompts)


def _environment(task: str | Task, arguments: dict[str, Any]) -> MultimodalVectorEnv:
    if isinstance(task, Task):
        return MultimodalVectorEnv(task=task, feedback="truth", **arguments)
    registered_spec(task)  # refuses the environments of others in a sentence
    envs: MultimodalVectorEnv = gym.make_vec(task, **arguments).unwrapped  # type: ignore[assignment]
    return envs


def task_of(name: str, **arguments: Any) -> Task:
    """The task of a registered id, given arguments of the environment."""
    return _environment(name, {"num_envs": 1, "feedback": "truth", **arguments}).task
