"""Answers and labels of any task, small and quick."""

from __future__ import annotations

from functools import cache

import torch

from feedback.collection import draw_prompts
from feedback.preferences import Answers, Labelled, Pairs
from feedback.reward_models import ModelConfig
from mm_envs.episodes import Prompts
from mm_envs.random import fold, stream
from mm_envs.tasks import Task
from mm_envs.tasks.play import answered

SMALL = ModelConfig(features=8, hidden=8, width=8)


@cache
def asked(name: str, n: int = 12) -> tuple[Task, Prompts]:
    """A task and what some rows of its environment are asked."""
    # Neighbouring items are rendered together.
    prompts, tickets = draw_prompts(name, n, seed=3, about=torch.arange(n))
    return tickets.task, prompts


def answers(name: str, n: int = 12, k: int = 3) -> tuple[Task, Answers]:
    """Random answers, k to each of n contexts."""
    task, prompts = asked(name, n)
    response = task.random(fold(stream(1, "answers"), torch.arange(n * k)))
    response, length = task.answer.finish(response)
    each = None if length is None else length.view(n, k)
    heard = answered(task, prompts.take(torch.arange(n).repeat_interleave(k)), response).turns
    turns = None if heard is None else {key: one.view(n, k, *one.shape[1:]) for key, one in heard.items()}
    return task, Answers.of(prompts.context, response.view(n, k, *response.shape[1:]), each, turns)


def labelled(name: str, n: int = 12, k: int = 3, seed: int = 0) -> tuple[Task, Labelled]:
    """Random answers with random labels of all pairs to a context."""
    task, table = answers(name, n, k)
    first, second = (
        (torch.arange(n)[:, None] * k + side).flatten() for side in torch.triu_indices(k, k, offset=1)
    )
    choice = torch.randint(3, (len(first),), generator=torch.Generator().manual_seed(seed))
    shown = torch.ones_like(choice, dtype=torch.bool)
    return task, Labelled(table, ("one",), (Pairs(torch.zeros_like(choice), first, second, choice, shown),))
