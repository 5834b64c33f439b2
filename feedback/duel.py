"""Duels: two policies answer the same items, and votes on the answers give a win rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agents.comparison import answers, interval_record, without_feedback
from agents.run_folder import Setting
from feedback.active_learning import CandidatePairs, records
from feedback.active_learning.pairs import heard
from feedback.annotators import AnnotatorPool
from feedback.collection import draw_prompts
from feedback.preferences import Pairwise
from mm_envs.engine.ticket import Ticket
from mm_envs.statistics import Interval, mean_interval, wilson_interval
from mm_envs.tasks.task import Task

_WORTH = {"first": 1.0, "second": 0.0, "tie": 0.5}
# Prompts are drawn so many at a time, which decides the items.
MAX_ITEMS = 1024


@dataclass(frozen=True)
class Duel:
    """The result of a duel.

    Attributes:
        items: How many items both answered.
        same: On how many of them they gave the same answer, which counts as a tie without a vote.
        wins: Votes for the first policy.
        losses: Votes for the second.
        ties: Votes for neither.
        skips: Skipped votes.
        rate: The win rate, a tie counting half; None without votes and equal answers.
        utility_a: The true utility of the first policy.
        utility_b: That of the second.
        gap: The difference, item by item.
    """

    items: int
    same: int
    wins: int
    losses: int
    ties: int
    skips: int
    rate: Interval | None
    utility_a: Interval
    utility_b: Interval
    gap: Interval

    @classmethod
    def of(cls, task: Task, pairs: CandidatePairs, records: Sequence[Pairwise]) -> Duel:
        """Counts votes on all pairs of answers, those of the first policy first; equal ones have no votes."""
        votes = [one.choice for one in records]
        same = int((~pairs.differ).sum())
        utility = [
            task.utility(one.response, one.response_length, pairs.prompts.reference).reward.double().numpy()
            for one in map(pairs.episodes, (0, 1))
        ]
        return cls(
            len(pairs),
            same,
            votes.count("first"),
            votes.count("second"),
            votes.count("tie"),
            votes.count("skip"),
            win_rate(records, same),
            mean_interval(utility[0]),
            mean_interval(utility[1]),
            mean_interval(utility[0] - utility[1]),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **{name: getattr(self, name) for name in ("items", "same", "wins", "losses", "ties", "skips")},
            "rate": None if self.rate is None else [self.rate.value, self.rate.low, self.rate.high],
            **{name: interval_record(getattr(self, name)) for name in ("utility_a", "utility_b", "gap")},
        }


def win_rate(records: Sequence[Pairwise], same: int = 0) -> Interval | None:
    """The share of items that the first answers win, a tie counting half, with its 95 % interval.

    Votes on one item are averaged first. The interval is that of Wilson (1927) for so many items: shares
    between 0 and 1 vary less than the coins it is made for, so it is wide enough.

    Args:
        records: The votes; skipped ones do not count.
        same: How many further items are ties.

    Example:
        >>> print(win_rate([], same=10))
        0.500 [0.237, 0.763]
    """
    votes: dict[str, list[float]] = {}
    for one in records:
        if one.choice in _WORTH:
            votes.setdefault(one.item, []).append(_WORTH[one.choice])
    n = len(votes) + same
    if not n:
        return None
    share = (sum(sum(some) / len(some) for some in votes.values()) + same / 2) / n
    return wilson_interval(share, n)


def play_duel(
    sides: Sequence[tuple[str, Setting]], items: int, split: str, seed: int
) -> tuple[CandidatePairs, Task]:
    """The answers of two policies to the same items, and the task.

    Args:
        sides: Each the name of a policy, see ``agents.comparison.make_policy``, and its environment.
        items: How many items, at most; drawn without replacement.
        split: Which items.
        seed: Decides the items.

    Raises:
        ValueError: The environments have other items, or take other answers.
    """
    responses, about = answers(sides, min(items, MAX_ITEMS), split, seed)
    setting = without_feedback(sides[0][1])
    task = setting.make(1, split=split).task
    prompts, tickets = draw_prompts(setting.id, len(about), split, seed, about=about, **setting.arguments)
    lengths = [one for _, one in map(task.answer.finish, responses) if one is not None]
    length = torch.stack(lengths, 1) if lengths else None
    names = " against ".join(
        policy if setting.agent is None else f"agent {setting.agent.parent.name}" for policy, setting in sides
    )
    pairs = CandidatePairs(prompts, torch.stack(responses, 1), length, names, Ticket.parse(tickets[0]))
    return heard(task, pairs), task


def votes_of(pool: AnnotatorPool, task: Task, pairs: CandidatePairs) -> list[Pairwise]:
    """The votes of annotators on pairs."""
    votes = pool.compare(pairs.episodes(0), pairs.episodes(1))
    return records(task, pairs, votes, pool.names)
