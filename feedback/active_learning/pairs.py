"""Pairs of answers to the same question: what an annotator can be asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from feedback.collection import draw_prompts
from feedback.preferences import Answers
from feedback.responses import Sampler
from feedback.reward_models.model import READ
from mm_envs.episodes import Episodes, Prompts
from mm_envs.names import at_least
from mm_envs.random import stream
from mm_envs.tasks.play import answered
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class CandidatePairs:
    """n pairs of answers, each to one question.

    Attributes:
        prompts: The questions, n rows.
        response: The answers, (n, 2, ...).
        length: How many words they have, (n, 2) int64; None for answers that are not words.
        sampler: Where the answers come from, as ``Sampler.name``.
        tickets: The tickets of the questions, n strings; empty where they are not needed.
        turns: What is heard between turns, (n, 2, ...) by key; None without a conversation.
        read: What the frozen parts of a model made of the answers, (n, 2, ...), once for all rounds and fits;
            models are then handed this instead of contexts and answers. None: they read for themselves.
    """

    prompts: Prompts
    response: Tensor
    length: Tensor | None = None
    sampler: str = ""
    tickets: Sequence[str] = field(default=(), repr=False)
    read: Tensor | None = None
    turns: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.response)

    def take(self, rows: Tensor) -> CandidatePairs:
        """Some pairs, (k,) int64 or a mask, in that order."""
        if rows.dtype == torch.bool:
            rows = rows.nonzero()[:, 0]
        length = None if self.length is None else self.length[rows]
        tickets = [self.tickets[row] for row in rows.tolist()] if self.tickets else ()
        read = None if self.read is None else self.read[rows]
        turns = None if self.turns is None else {key: value[rows] for key, value in self.turns.items()}
        return CandidatePairs(
            self.prompts.take(rows), self.response[rows], length, self.sampler, tickets, read, turns
        )

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
    """Two answers to each of n questions; nothing can be asked about equal answers: they are left out.

    Args:
        task: The id of an environment, or a task.
        sampler: Answers the questions.
        n: How many questions are drawn; there are at most so many pairs.
        split: The items that are asked about.
        seed: Decides questions and answers.
        arguments: Further arguments of the environment, if ``task`` is an id.
    """
    at_least("n", n, 1, "draw at least one pair")
    prompts, tickets = draw_prompts(task, n, split, seed, **arguments)
    response, length = sampler.sample(prompts, 2, seed)
    named = list(tickets) if isinstance(task, str) else ()
    pairs = CandidatePairs(prompts, response, length, sampler.name, named)
    return heard(tickets.task, pairs.take(pairs.differ))


def heard(task: Task, pairs: CandidatePairs) -> CandidatePairs:
    """Pairs with what is heard between the turns of their answers, where the task is a conversation."""
    sides = [answered(task, pairs.prompts, pairs.response[:, side]).turns for side in (0, 1)]
    if sides[0] is None or sides[1] is None:
        return pairs
    turns = {key: torch.stack([value, sides[1][key]], 1) for key, value in sides[0].items()}
    return replace(pairs, turns=turns)


def seed_of(seed: int, name: str) -> int:
    """The seed of a part of something that has a seed itself, 63 bits.

    Example:
        >>> seed_of(0, "round 1") == seed_of(0, "round 2")
        False
    """
    return int(stream(seed, name)) & 0x7FFFFFFFFFFFFFFF


def joined(parts: Sequence[CandidatePairs]) -> CandidatePairs:
    """All pairs of some batches, one after the other.

    Raises:
        ValueError: There are no batches.
    """
    if not parts:
        raise ValueError("there are no pairs to join: give at least one batch")
    prompts = [one.prompts for one in parts]
    lengths = [one.length for one in parts if one.length is not None]
    reads = [one.read for one in parts if one.read is not None]
    turns = [one.turns for one in parts if one.turns is not None]
    return CandidatePairs(
        Prompts.join(prompts),
        torch.cat([one.response for one in parts]),
        torch.cat(lengths) if lengths else None,
        parts[0].sampler,
        [ticket for one in parts for ticket in one.tickets],
        torch.cat(reads) if reads else None,
        {key: torch.cat([one[key] for one in turns]) for key in turns[0]} if turns else None,
    )
