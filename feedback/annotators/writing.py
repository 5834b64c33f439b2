"""Answers that an annotator writes, and remarks on parts of answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isinf
from typing import TypeAlias

import torch
from torch import Tensor

from mm_envs.episodes import Episodes
from mm_envs.random import fold, gumbel
from mm_envs.tasks.task import Task

Perception: TypeAlias = Callable[[Episodes], Tensor]


@dataclass(frozen=True)
class Remarks:
    """Remarks on one part of each of n answers.

    Attributes:
        start: The first word of the part, (n,) int64.
        stop: The first word behind it, (n,) int64.
        good: Whether the part is good, (n,) bool.
        without: The answers without the part, (n, L) int64.
        length: Their number of words, (n,) int64.
    """

    start: Tensor
    stop: Tensor
    good: Tensor
    without: Tensor
    length: Tensor


def nearest_better(
    task: Task, episodes: Episodes, perceive: Perception, known: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor | None]:
    """The reference that seems better than the answer with the fewest words changed; else the answer itself.

    Words are changed, left out or put in, each counting 1 (Levenshtein, 1966); the first reference wins a
    draw. Where the answer is not words, the oracle's answer if it seems better. ``known`` makes of true
    answers what is known of them.
    """
    assert episodes.reference is not None
    kind, seen = task.answer, perceive(episodes)
    several, there = task.references(episodes.reference)
    nearest, found = torch.full((len(episodes),), 10**9, device=seen.device), episodes
    for column, response in enumerate(several.unbind(1)):
        answer, length = kind.close(known(response))
        other = replace(episodes, response=answer, response_length=length, truth=None, turns=None)
        changes = kind.distance(episodes.response, episodes.response_length, answer, length)
        wins = there[:, column] & (perceive(other) > seen) & (changes < nearest)
        nearest = torch.where(wins, changes, nearest)
        found = other.where(wins, found)
    return found.response, found.response_length


def remark(
    task: Task, episodes: Episodes, perceive: Perception, sharp: float, hashes: Tensor, turned: Tensor
) -> Remarks:
    """Remarks on the word that matters most, see ``SimulatedAnnotator.critique``."""
    kind, seen, changes = task.answer, perceive(episodes), []
    response, length = episodes.response, episodes.response_length

    def without(part: Tensor) -> Episodes:
        rest = kind.without(response, length, part)
        return replace(episodes, response=rest[0], response_length=rest[1], truth=None, turns=None)

    for step in range(kind.steps):
        changes.append(perceive(without(torch.full((len(seen),), step, device=seen.device))) - seen)
    change = torch.stack(changes, 1)
    assert length is not None  # a kind with parts has lengths
    index = torch.arange(change.shape[1], device=change.device)
    weight = change.abs()
    if not isinf(sharp):
        weight = sharp * weight + gumbel(fold(hashes[:, None], index))
    # An answer without words keeps index 0, a part of no words.
    part = weight.masked_fill(index >= length[:, None], -torch.inf).argmax(1)
    good = change.gather(1, part[:, None])[:, 0] <= 0
    rest = without(part)
    assert rest.response_length is not None
    return Remarks(part, torch.minimum(part + 1, length), good ^ turned, rest.response, rest.response_length)
