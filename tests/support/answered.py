"""Episodes with answers, for tests of those who judge them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from mm_envs.episodes import Episodes, Prompts
from mm_envs.random import fold
from mm_envs.tasks import Task, make_task


@lru_cache(maxsize=32)
def prompts(n: int, task: str = "caption", seed: int = 0, **arguments: Any) -> tuple[Task, Prompts]:
    """A task and n questions, without their pictures and sounds."""
    made, rows = make_task(task, **arguments), torch.arange(n)
    reference = made.batch(rows, made.reference)
    key = torch.stack([torch.full_like(rows, seed), rows, torch.zeros_like(rows)], 1)
    return made, Prompts({}, reference, key, rows)


def good_answers(task: Task, asked: Prompts) -> Episodes:
    """The oracle's answers."""
    return asked.answered(*task.answer.finish(task.oracle(asked.reference)))


def spoiled(task: Task, episodes: Episodes, times: int = 1, seed: int = 0) -> Episodes:
    """The answers with some words exchanged for others."""
    for time in range(times):
        hashes = fold(torch.arange(len(episodes)), seed, time)
        response, length = task.answer.slip(episodes.response, episodes.response_length, hashes)
        episodes = Episodes(
            episodes.context, response, length, episodes.reference, episodes.key, episodes.truth
        )
    return episodes


def pairs(
    n: int, task: str = "caption", seed: int = 0, times: tuple[int, int] = (1, 3), **arguments: Any
) -> tuple[Task, Episodes, Episodes]:
    """A task and n pairs of answers, the first ones with fewer faults on average."""
    made, asked = prompts(n, task, seed, **arguments)
    best = good_answers(made, asked)
    return made, spoiled(made, best, times[0], seed), spoiled(made, best, times[1], seed + 1)


def repeated(episodes: Episodes, row: int, n: int) -> Episodes:
    """One episode n times, each with a key of its own: the same question put to an annotator again."""
    same = episodes.take(torch.full((n,), row))
    assert same.reference is not None
    assert same.key is not None
    key = torch.stack([same.key[:, 0], torch.arange(n), same.key[:, 2]], 1)
    return Episodes({}, same.response, same.response_length, dict(same.reference), key)


def utility(task: Task, episodes: Episodes) -> torch.Tensor:
    """The true utility."""
    assert episodes.reference is not None
    return task.utility(episodes.response, episodes.response_length, episodes.reference).reward
