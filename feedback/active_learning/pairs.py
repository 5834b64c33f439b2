"""Pairs of answers to the same question: what an annotator can be asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from feedback.collection import draw_prompts, tickets_of
from feedback.preferences import Answers
from feedback.responses import Sampler
from feedback.reward_models.model import READ
from mm_envs.batch import Batch
from mm_envs.engine.ticket import Ticket
from mm_envs.episodes import Episodes, Prompts
from mm_envs.names import at_least
from mm_envs.random import stream
from mm_envs.tasks.play import answered
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class CandidatePairs(Batch):
    """n pairs of answers, each to one question.

    Attributes:
        prompts: The questions, n rows.
        response: The answers, (n, 2, ...).
        length: The number of words, (n, 2) int64; None for answers that are not words.
        sampler: Where the answers come from, as ``Sampler.name``.
        ticket: A ticket of the environment that asked; None for a task without one.
        read: The encoding of the answers by frozen parts of a model, (n, 2, ...), which models are then given
            instead of contexts and answers; None without frozen parts.
        turns: What is heard between turns, (n, 2, ...) by key; None without a conversation.
    """

    prompts: Prompts
    response: Tensor
    length: Tensor | None = None
    sampler: str = ""
    ticket: Ticket | None = field(default=None, repr=False)
    read: Tensor | None = None
    turns: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.response)

    @property
    def tickets(self) -> list[str]:
        """The tickets of the questions, n strings; empty for a task without an environment."""
        return [] if self.ticket is None else tickets_of(self.ticket, self.prompts)

    def episodes(self, side: int) -> Episodes:
        """The first (0) or second (1) answers as episodes."""
        length = None if self.length is None else self.length[:, side]
        turns = None if self.turns is None else {key: value[:, side] for key, value in self.turns.items()}
        return self.prompts.answered(self.response[:, side], length, turns)

    @property
    def answers(self) -> Answers:
        """The table of the answers, as models are handed it: those of pair i are rows 2 i and 2 i + 1."""
        if self.read is not None:
            return Answers.of({READ: torch.zeros(len(self), device=self.read.device)}, self.read)
        return Answers.of(self.prompts.context, self.response, self.length, self.turns)

    @property
    def differ(self) -> Tensor:
        """Whether the two answers are not the same, (n,) bool."""
        return (self.response[:, 0] != self.response[:, 1]).view(len(self), -1).any(1)


def draw_pairs(
    task: str | Task, sampler: Sampler, n: int, split: str = "train", seed: int = 0, **arguments: Any
) -> CandidatePairs:
    """Two different answers to each of n questions; questions with equal answers are left out.

    Args:
        task: The id of an environment, or a task.
        sampler: Answers the questions.
        n: How many questions are drawn.
        split: The items that are asked about.
        seed: Decides questions and answers.
        arguments: Further arguments of the environment, if ``task`` is an id.
    """
    at_least("n", n, 1, "draw at least one pair")
    prompts, tickets = draw_prompts(task, n, split, seed, **arguments)
    response, length = sampler.sample(prompts, 2, seed)
    ticket = Ticket.parse(tickets[0]) if isinstance(task, str) else None
    pairs = CandidatePairs(prompts, response, length, sampler.name, ticket)
    return heard(tickets.task, pairs.take(pairs.differ))


def heard(task: Task, pairs: CandidatePairs) -> CandidatePairs:
    """Pairs with what is heard between the turns of their answers, where the task is a conversation."""
    sides = [answered(task, pairs.prompts, pairs.response[:, side]).turns for side in (0, 1)]
    if sides[0] is None or sides[1] is None:
        return pairs
    turns = {key: torch.stack([value, sides[1][key]], 1) for key, value in sides[0].items()}
    return replace(pairs, turns=turns)


def seed_of(seed: int, name: str) -> int:
    """The seed of a named part of something that has a seed, 63 bits."""
    return int(stream(seed, name)) & 0x7FFFFFFFFFFFFFFF
