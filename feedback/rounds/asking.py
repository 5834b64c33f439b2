"""Asking annotators, and what they answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from feedback.annotators import AnnotatorPool, Comparer, Comparison, PoolComparison
from feedback.preferences import SECOND, SKIP, Labelled, Pairs, Pairwise, pairwise_records
from feedback.rounds.pairs import CandidatePairs
from mm_envs.episodes import Episodes
from mm_envs.random import chance, key_hashes, purpose
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class Asked:
    """What was asked and answered: q queries with v votes each, in the order in which they were asked.

    Attributes:
        round: In which round, (q,) int64.
        row: The row of the candidates of that round, (q,) int64.
        annotator: Who voted, (q, v) int64, a place among the names of the annotators.
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

    def take(self, rows: Tensor) -> Asked:
        """Some queries, (k,) int64 or a mask, in that order."""
        return replace(self, **{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    def __add__(self, other: Asked) -> Asked:
        """These, then others."""
        both = {one.name: (getattr(self, one.name), getattr(other, one.name)) for one in fields(self)}
        return replace(self, **{name: torch.cat(values) for name, values in both.items()})

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
    earlier: Asked | None = None,
) -> Asked:
    """Asks about some candidates of a round.

    A single annotator is shown either answer first with equal chance, decided by the key of the question; a
    pool sees to that itself.

    Args:
        annotators: One annotator or a pool.
        pairs: The candidates of the round.
        number: The number of the round.
        rows: Which candidates, (k,) int64.
        earlier: What was asked before: annotators tire.

    Returns:
        The answers to these queries alone.
    """
    chosen = pairs.take(rows)
    first, second = chosen.episodes(0), chosen.episodes(1)
    if not isinstance(annotators, AnnotatorPool):
        said, annotator, shown_first = _alone(
            annotators, first, second, 0 if earlier is None else len(earlier)
        )
        votes = annotator, said.choice, shown_first, said.latency
        return Asked(torch.full_like(rows, number), rows, *(one[:, None] for one in votes))
    start = None
    if earlier is not None:
        start = torch.bincount(earlier.annotator.flatten(), minlength=len(annotators))
    crowd = annotators.compare(first, second, start)
    votes = crowd.annotator, crowd.choice, crowd.shown_first, crowd.latency
    return Asked(torch.full_like(rows, number), rows, *votes)


def _alone(
    annotator: Comparer, first: Episodes, second: Episodes, given: int
) -> tuple[Comparison, Tensor, Tensor]:
    """What a single annotator says of the answers, however displayed; who it is; what was displayed first."""
    assert first.key is not None
    shown_first = chance(key_hashes(first.key, purpose("answer that is displayed first")), 0.5)
    label = torch.arange(given, given + len(first), device=first.key.device)
    shown = first.where(shown_first, second), second.where(shown_first, first)
    said = annotator.compare(*shown, label)
    turned = (said.choice <= SECOND) & ~shown_first
    choice = torch.where(turned, SECOND - said.choice, said.choice)
    return replace(said, choice=choice), torch.zeros_like(label), shown_first


def labelled(pairs: CandidatePairs, asked: Asked, annotators: Sequence[str]) -> Labelled:
    """The labels of queries as tensors to learn from; votes that were skipped say nothing and are left out.

    Args:
        pairs: What was asked about, a row a query.
        asked: The answers.
        annotators: Who ``asked.annotator`` speaks of.
    """
    votes = asked.choice.shape[1]
    first = 2 * torch.arange(len(asked), device=asked.row.device).repeat_interleave(votes)
    said = asked.choice.flatten()
    all_pairs = Pairs(asked.annotator.flatten(), first, first + 1, said, asked.shown_first.flatten())
    kept = all_pairs.take(said != SKIP)
    assert isinstance(kept, Pairs)
    return Labelled(pairs.answers, tuple(annotators), (kept,))


def records(
    task: Task,
    pairs: CandidatePairs,
    votes: Asked | PoolComparison,
    names: Sequence[str],
    reward_model: str = "",
) -> list[Pairwise]:
    """What was said of pairs that have tickets, one record a vote.

    Args:
        task: Says the answers in words.
        pairs: What was asked about, n pairs.
        votes: What was said of each, v votes a pair.
        names: Who ``votes.annotator`` speaks of.
        reward_model: The version of the reward model that chose the pairs; empty if none did.
    """
    return pairwise_records(
        task,
        list(pairs.tickets),
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
