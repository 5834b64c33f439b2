"""Asking annotators, and what they answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from feedback.active_learning.pairs import CandidatePairs
from feedback.annotators import AnnotatorPool, Comparer, Comparison, PoolComparison
from feedback.preferences import (
    SECOND,
    SKIP,
    Item,
    Labelled,
    Pairs,
    Pairwise,
    Query,
    pairwise_records,
    ticket_items,
)
from mm_envs.batch import Batch
from mm_envs.episodes import Episodes
from mm_envs.random import chance, key_hashes, purpose
from mm_envs.spaces import Tokens
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class QueryLog(Batch):
    """q queries with v votes each, in the order in which they were asked.

    Attributes:
        round: The number of the round, (q,) int64.
        row: The row of the candidates of that round, (q,) int64.
        annotator: Who voted, (q, v) int64, a position among the names of the annotators.
        choice: FIRST, SECOND, TIE or SKIP, (q, v) int64: a skipped query is spent, too.
        shown_first: Whether the first answer was displayed first, (q, v) bool.
        latency: Seconds, (q, v) float32.
    """

    round: Tensor
    row: Tensor
    annotator: Tensor
    choice: Tensor
    shown_first: Tensor
    latency: Tensor

    def __len__(self) -> int:
        return len(self.round)

    def rate(self, choice: int) -> float:
        """The share of votes that are TIE, SKIP, ...; 0 if there are none."""
        return float((self.choice == choice).double().mean()) if self.choice.numel() else 0.0


def names_of(annotators: Comparer | AnnotatorPool) -> tuple[str, ...]:
    """Who is asked."""
    return annotators.names if isinstance(annotators, AnnotatorPool) else (annotators.name,)


def ask(
    annotators: Comparer | AnnotatorPool,
    pairs: CandidatePairs,
    number: int,
    rows: Tensor,
    earlier: QueryLog | None = None,
) -> QueryLog:
    """Asks about some candidates of a round; returns the answers to these queries alone.

    What a single annotator is shown first is drawn from the key of the question; a pool draws it itself.

    Args:
        annotators: One annotator or a pool.
        pairs: The candidates of the round.
        number: The number of the round.
        rows: Which candidates, (k,) int64.
        earlier: Earlier queries: annotators tire.
    """
    chosen = pairs.take(rows)
    first, second = chosen.episodes(0), chosen.episodes(1)
    if not isinstance(annotators, AnnotatorPool):
        comparison, annotator, shown_first = _alone(
            annotators, first, second, 0 if earlier is None else len(earlier)
        )
        votes = annotator, comparison.choice, shown_first, comparison.latency
        return QueryLog(torch.full_like(rows, number), rows, *(one[:, None] for one in votes))
    start = None
    if earlier is not None:
        start = torch.bincount(earlier.annotator.flatten(), minlength=len(annotators))
    crowd = annotators.compare(first, second, start)
    votes = crowd.annotator, crowd.choice, crowd.shown_first, crowd.latency
    return QueryLog(torch.full_like(rows, number), rows, *votes)


def _alone(
    annotator: Comparer, first: Episodes, second: Episodes, given: int
) -> tuple[Comparison, Tensor, Tensor]:
    """What a single annotator says of the answers, however displayed; who it is; what was displayed first."""
    assert first.key is not None
    shown_first = chance(key_hashes(first.key, purpose("answer that is displayed first")), 0.5)
    label = torch.arange(given, given + len(first), device=first.key.device)
    shown = first.where(shown_first, second), second.where(shown_first, first)
    comparison = annotator.compare(*shown, label)
    turned = (comparison.choice <= SECOND) & ~shown_first
    choice = torch.where(turned, SECOND - comparison.choice, comparison.choice)
    return replace(comparison, choice=choice), torch.zeros_like(label), shown_first


def labelled(pairs: CandidatePairs, asked: QueryLog, annotators: Sequence[str]) -> Labelled:
    """The labels of queries, one a row of ``pairs``, as tensors; skipped votes are left out."""
    votes = asked.choice.shape[1]
    first = 2 * torch.arange(len(asked), device=asked.row.device).repeat_interleave(votes)
    choice = asked.choice.flatten()
    all_pairs = Pairs(asked.annotator.flatten(), first, first + 1, choice, asked.shown_first.flatten())
    kept = all_pairs.take(choice != SKIP)
    assert isinstance(kept, Pairs)
    return Labelled(pairs.answers, tuple(annotators), (kept,))


def records(
    task: Task,
    pairs: CandidatePairs,
    votes: QueryLog | PoolComparison,
    names: Sequence[str],
    reward_model: str = "",
) -> list[Pairwise]:
    """Records of v votes on each of n pairs that have tickets, one a vote.

    ``names`` are those that ``votes.annotator`` refers to, ``reward_model`` the version of the one that
    chose.
    """
    return pairwise_records(
        task,
        pairs.tickets,
        pairs.response[:, 0],
        pairs.response[:, 1],
        votes.choice,
        annotators=names,
        annotator=votes.annotator,
        shown_first=votes.shown_first,
        latency=votes.latency,
        sampler=pairs.sampler,
        reward_model=reward_model,
    )


def items_of(task: Task, pairs: CandidatePairs) -> list[Item]:
    """The items of pairs that have tickets, each with the text of its question, if it has any."""
    spaces = {key: space for key, space in task.context_spaces.items() if isinstance(space, Tokens)}
    texts = []
    for row in range(len(pairs)):
        words = (space.vocabulary.decode(pairs.prompts.context[key][row]) for key, space in spaces.items())
        texts.append(" | ".join(one for one in words if one))
    return ticket_items(task, pairs.tickets, texts)


def queries_of(task: Task, pairs: CandidatePairs, reward_model: str = "") -> list[Query]:
    """The query of each pair that has a ticket."""
    words = [task.answer.formats(pairs.response[:, side]) for side in (0, 1)]
    return [
        Query(item=item, answers=tuple(answers), sampler=pairs.sampler, reward_model=reward_model)
        for item, *answers in zip(pairs.tickets, *words, strict=True)
    ]
