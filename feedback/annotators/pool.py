"""Pools of annotators, of whom a few are asked each question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from feedback.annotators.annotator import Comparer, pair_hashes
from feedback.annotators.simulated import SimulatedAnnotator
from feedback.preferences import FIRST, SECOND
from mm_envs.episodes import Episodes
from mm_envs.feedback_sources import true_utility
from mm_envs.random import fold, purpose
from mm_envs.tasks.task import Task

_SWAPPED = (SECOND, FIRST, 2, 3)


@dataclass(frozen=True)
class PoolComparison:
    """Choices of a pool on n pairs, ``votes`` each; all tensors are (n, votes).

    Attributes:
        annotator: Who was asked, int64 positions in ``AnnotatorPool.names``; distinct in each row.
        choice: FIRST (the answer given first, whichever was displayed first), SECOND, TIE or SKIP, int64.
        shown_first: Whether the answer that was given first was displayed first, bool.
        latency: Seconds until the answer came, float32.
        label: How many labels the annotator had given before, int64.
    """

    annotator: Tensor
    choice: Tensor
    shown_first: Tensor
    latency: Tensor
    label: Tensor


class AnnotatorPool:
    """A crowd: each question is put to some of its members, drawn anew for every pair of answers.

    Who is asked and what is displayed first are drawn from the key of the episode, the two answers and the
    seed: the batch does not matter, and swapped pairs give the mirror image. Only fatigue depends on the
    order of the pairs, in which the labels of each member are counted.

    Args:
        members: The annotators, with different names and seeds.
        votes: How many distinct members are asked about each pair.
        seed: Decides who is asked and what is displayed first.

    Attributes:
        names: The names of the members, in their order.
    """

    def __init__(self, members: Sequence[Comparer], votes: int = 1, seed: int = 0) -> None:
        self.members, self.votes, self.seed = tuple(members), votes, seed
        self.names = tuple(member.name for member in self.members)
        if not self.members:
            raise ValueError("the pool is empty: give at least one annotator")
        name, times = Counter(self.names).most_common(1)[0]
        if times > 1:
            raise ValueError(f"{times} annotators are called {name!r}: give each one a name of its own")
        seeds = Counter(one.seed for one in self.members if isinstance(one, SimulatedAnnotator))
        if seeds and max(seeds.values()) > 1:
            seed, times = seeds.most_common(1)[0]
            raise ValueError(
                f"{times} annotators have seed {seed}, and so the same noise: give each one a seed of its own"
            )
        if not 1 <= votes <= len(self.members):
            raise ValueError(f"votes={votes} is not within 1 to {len(self.members)}, the number of members")

    def __len__(self) -> int:
        return len(self.members)

    def compare(self, first: Episodes, second: Episodes, start: Tensor | None = None) -> PoolComparison:
        """Asks ``votes`` members about each pair of answers.

        Args:
            first: n answers, with reference and key.
            second: Other answers to the same questions.
            start: How many labels each member has given before, (members,) int64; None: none. Afterwards it
                is ``start + torch.bincount(comparison.annotator.flatten(), minlength=len(pool))``.
        """
        hashes, sign = pair_hashes(first, second, purpose(f"pool {self.seed}"))
        draws = fold(hashes[:, None], torch.arange(len(self), device=hashes.device))
        annotator = draws.argsort(dim=1, stable=True)[:, : self.votes]
        shown_first = (fold(draws, 0) > 0).gather(1, annotator) ^ (sign < 0)[:, None]
        label = self._labels(annotator, start)
        choice = torch.empty_like(annotator)
        latency = torch.empty(annotator.shape, device=hashes.device)
        for number, member in enumerate(self.members):
            row, vote = torch.where(annotator == number)
            if len(row) == 0:
                continue
            shown = shown_first[row, vote]
            one, other = first.take(row), second.take(row)
            comparison = member.compare(one.where(shown, other), other.where(shown, one), label[row, vote])
            swapped = torch.tensor(_SWAPPED, device=hashes.device)[comparison.choice]
            choice[row, vote] = torch.where(shown, comparison.choice, swapped)
            latency[row, vote] = comparison.latency
        return PoolComparison(annotator, choice, shown_first, latency, label)

    def _labels(self, annotator: Tensor, start: Tensor | None) -> Tensor:
        """How many labels were given before each one, counted row by row."""
        flat = annotator.flatten()
        order = flat.argsort(stable=True)
        counts = torch.bincount(flat, minlength=len(self))
        if start is None:
            start = torch.zeros_like(counts)
        elif tuple(start.shape) != (len(self),):
            raise ValueError(f"start has shape {tuple(start.shape)}: give one count for each of {len(self)}")
        begins = counts.cumsum(0) - counts
        label = torch.empty_like(flat)
        label[order] = torch.arange(len(flat), device=flat.device) - begins[flat[order]] + start[flat[order]]
        return label.view_as(annotator)

    def skill(self, task: Task, first: Episodes, second: Episodes, label: int = 0) -> Tensor:
        """How likely each member is to be right, on average over some pairs, (members,) float64.

        Right is the answer of higher true utility. Pairs of equal utility, ties and skips are left out (nan
        for a member with nothing else). Either answer is displayed first equally often.

        Args:
            task: Gives the true utility.
            first: n answers, with reference and key.
            second: Other answers to the same questions.
            label: How many labels each member has given before.
        """
        better = true_utility(task, first).reward - true_utility(task, second).reward
        rows = torch.where(better != 0)[0]
        if len(rows) == 0:
            raise ValueError("no two answers differ in utility: give pairs of which one is right")
        first, second, better = first.take(rows), second.take(rows), better[rows] > 0
        best, worst = first.where(better, second), second.where(better, first)
        return torch.stack([_right(member, best, worst, label) for member in self.members])


def _right(member: Comparer, best: Episodes, worst: Episodes, label: int) -> Tensor:
    """How likely a member is to prefer the better answers, () float64."""
    labels = torch.full((len(best),), label, device=best.response.device)
    orders = member.compare(best, worst, labels), member.compare(worst, best, labels)
    decided = [order.choice <= SECOND for order in orders]
    if isinstance(member, SimulatedAnnotator):
        chances = member.probability(best, worst, labels), 1 - member.probability(worst, best, labels)
    else:
        chances = (orders[0].choice == FIRST).double(), (orders[1].choice == SECOND).double()
    chance, counted = torch.stack(chances).double(), torch.stack(decided)
    return (chance * counted).sum() / counted.sum()
