"""Answers that an annotator writes, and remarks on parts of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isinf
from typing import TypeAlias

import torch
from torch import Tensor

from mm_envs.engine.response import in_words
from mm_envs.episodes import Episodes
from mm_envs.random import fold, gumbel, integers
from mm_envs.tasks.task import Task
from mm_envs.tasks.yardsticks import words_length
from mm_envs.tokenizers import EOS, PAD, SPECIALS

Sight: TypeAlias = Callable[[Episodes], Tensor]


@dataclass(frozen=True)
class Remarks:
    """What was said of one part of each of n answers.

    Attributes:
        start: The first word of the part, (n,) int64.
        stop: The first word behind it, (n,) int64.
        good: Whether the part is good, (n,) bool.
        without: The answers without the part, (n, L) int64.
        length: How many words they have, (n,) int64.
    """

    start: Tensor
    stop: Tensor
    good: Tensor
    without: Tensor
    length: Tensor


def ended(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Answers with ``<eos>`` behind the last word where there is room, and their lengths.

    Args:
        tokens: Words, (n, L) int64; what comes behind ``<eos>`` or padding is dropped.

    Example:
        >>> ended(torch.tensor([[5, 6, 0, 0]]))[0].tolist()
        [[5, 6, 1, 0]]
    """
    length = words_length(tokens)
    places = torch.arange(tokens.shape[1], device=tokens.device)
    tokens = tokens.masked_fill(places >= length[:, None], PAD)
    return tokens.masked_fill(places == length[:, None], EOS), length


def oracle_answer(task: Task, reference: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """The best answers as ``Episodes`` holds them."""
    return as_given(task, task.oracle(reference))


def as_given(task: Task, answers: Tensor) -> tuple[Tensor, Tensor | None]:
    """Answers as ``Task.oracle`` has them, in the form of ``Episodes``."""
    return ended(answers) if in_words(task) else (answers, None)


def nearest_better(
    task: Task, episodes: Episodes, sight: Sight, known: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor | None]:
    """The reference that seems better than the answer with the fewest words changed; else the answer itself.

    Words are changed, left out or put in, each counting 1 (Levenshtein, 1966); the first reference wins a
    draw. Where the answer is not words, the oracle's answer if it seems better.

    Args:
        task: What is asked.
        episodes: n answers, with reference.
        sight: Perceives the utility of answers.
        known: Makes of true answers what is known of them.
    """
    assert episodes.reference is not None
    seen, length = sight(episodes), episodes.response_length
    if not in_words(task) or length is None:
        best = known(task.oracle(episodes.reference))
        better = sight(replace(episodes, response=best, truth=None)) > seen
        return torch.where(better.view(-1, *[1] * (best.ndim - 1)), best, episodes.response), None
    response, words = episodes.response, length
    nearest = torch.full_like(words, 10**9)
    for tokens in _references(task, episodes):
        answer, size = ended(known(tokens))
        changes = changed_words(episodes.response, length, answer, size)
        better = sight(replace(episodes, response=answer, response_length=size, truth=None)) > seen
        wins = better & (changes < nearest)
        nearest = torch.where(wins, changes, nearest)
        response = torch.where(wins[:, None], answer, response)
        words = torch.where(wins, size, words)
    return response, words


def _references(task: Task, episodes: Episodes) -> list[Tensor]:
    assert episodes.reference is not None
    width, found = episodes.response.shape[1], [task.oracle(episodes.reference)]
    if "captions" in task.reference:
        found += list(episodes.reference["captions"].unbind(1))
    return [torch.nn.functional.pad(one, (0, max(0, width - one.shape[1])))[:, :width] for one in found]


def changed_words(first: Tensor, length: Tensor, second: Tensor, size: Tensor) -> Tensor:
    """How many words have to be changed, left out or put in to make one answer of another, (n,) int64.

    Args:
        first: Words, (n, L) int64.
        length: How many of them count, (n,) int64.
        second: Words, (n, M) int64.
        size: How many of them count, (n,) int64.

    Example:
        >>> a, b = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 7, 8]])
        >>> changed_words(a, torch.tensor([3]), b, torch.tensor([2])).tolist()
        [1]
    """
    n, m = len(first), second.shape[1]
    row = torch.arange(m + 1, device=first.device).expand(n, -1)
    rows = [row]
    for i in range(first.shape[1]):
        # Leaving out and changing go in one piece; putting in needs a running minimum along the row.
        other = (first[:, i : i + 1] != second).to(torch.int64)
        best = torch.minimum(row[:, 1:] + 1, row[:, :-1] + other)
        best = torch.cat([row[:, :1] + 1, best], 1)
        places = torch.arange(m + 1, device=first.device)
        row = (best - places).cummin(1).values + places
        rows.append(row)
    table = torch.stack(rows, 1)
    each = torch.arange(n, device=first.device)
    return table[each, length, size]


def slip(task: Task, answer: Episodes, bits: Tensor) -> tuple[Tensor, Tensor | None]:
    """The answers with one word exchanged for another one; another answer where it is not words."""
    response, length = answer.response, answer.response_length
    if not in_words(task) or length is None:
        drawn = task.random(bits)
        if drawn.ndim == 1:
            # Never the right one: the numbers of the others, without a gap.
            options = int(task.action_space.n)  # type: ignore[attr-defined]
            drawn = (response + 1 + integers(bits, max(options - 1, 1))) % options
        return drawn, None
    place = integers(bits, length.clamp(min=1))
    ordinary = len(task.vocabulary) - len(SPECIALS)
    old = response.gather(1, place[:, None])[:, 0] - len(SPECIALS)
    new = (old + 1 + integers(fold(bits, 1), max(ordinary - 1, 1))) % ordinary + len(SPECIALS)
    exchanged = response.scatter(1, place[:, None], new[:, None])
    return torch.where((length > 0)[:, None], exchanged, response), length


def without_word(episodes: Episodes, place: Tensor) -> Episodes:
    """The answers without the word at a place each, (n,) int64; those without a word there stay the same."""
    response, length = episodes.response, episodes.response_length
    assert length is not None
    places = torch.arange(response.shape[1], device=response.device)
    later = torch.nn.functional.pad(response[:, 1:], (0, 1))
    moved = torch.where(places < place[:, None], response, later)
    there = place < length
    tokens = torch.where(there[:, None], moved, response)
    size = length - there.to(length.dtype)
    # An answer of full length had no <eos>; it has room for one now.
    tokens = tokens.masked_fill(there[:, None] & (places == size[:, None]), EOS)
    return replace(episodes, response=tokens, response_length=size, truth=None)


def remark(
    task: Task, episodes: Episodes, sight: Sight, sharp: float, bits: Tensor, turned: Tensor
) -> Remarks:
    """Remarks on the word that matters most, see ``SimulatedAnnotator.critique``.

    Raises:
        ValueError: The answers are not words.
    """
    length = episodes.response_length
    if not in_words(task) or length is None:
        raise ValueError("answers that are not words have no parts: ask for corrections, or use a token task")
    seen, changes = sight(episodes), []
    for t in range(episodes.response.shape[1]):
        changes.append(sight(without_word(episodes, torch.full_like(length, t))) - seen)
    change = torch.stack(changes, 1)
    places = torch.arange(change.shape[1], device=change.device)
    weight = change.abs()
    if not isinf(sharp):
        weight = sharp * weight + gumbel(fold(bits[:, None], places))
    # An answer without words keeps place 0, a part of no words.
    place = weight.masked_fill(places >= length[:, None], -torch.inf).argmax(1)
    good = change.gather(1, place[:, None])[:, 0] <= 0
    rest = without_word(episodes, place)
    assert rest.response_length is not None
    return Remarks(
        place, torch.minimum(place + 1, length), good ^ turned, rest.response, rest.response_length
    )
