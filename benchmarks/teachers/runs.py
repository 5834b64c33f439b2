"""One collection of labels after the other: teachers, queries and seeds on the same candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from benchmarks.teachers.heads import Heads, Recipe, fit_heads
from benchmarks.teachers.trunk import Trunk
from feedback.active_learning import CandidatePairs, Plan, Round, candidates_of, collect, draw_pairs, seed_of
from feedback.annotators import make_annotator
from feedback.preferences import SKIP, TIE
from feedback.responses import PairAccuracy, Sampler, pair_accuracy
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class Cell:
    """What is compared.

    Attributes:
        name: Who teaches, in the report.
        query: How pairs are chosen.
        annotator: A name of ``feedback.annotators.ANNOTATORS``.
        traits: Further arguments of that annotator.
        members: Of the ensemble.
        labels: How many times the budget is spent; more than once at once, in a single round.
    """

    name: str
    query: str
    annotator: str
    traits: Mapping[str, Any] = field(default_factory=dict, hash=False)
    members: int = 3
    labels: int = 1


@dataclass(frozen=True)
class Run:
    """What one collection ended with.

    Attributes:
        cell: What was done.
        seed: The seed of candidates, choices, annotator and weights.
        accuracy: Of the ensemble's mean on held-out pairs.
        curve: The same after each round.
        single: The mean accuracy of the members alone.
        ties: The share of the labels that are ties.
        skips: The share of the queries that were skipped.
    """

    cell: Cell
    seed: int
    accuracy: PairAccuracy
    curve: tuple[float, ...]
    single: float
    ties: float
    skips: float


class Regime:
    """Where answers come from, and what all runs of a seed share.

    Args:
        task: The task.
        sampler: Answers its questions.
        trunk: Reads the answers.
        plan: Budget, rounds and pool.
        held_out: How many pairs of the test split are drawn.
        recipe: How ensembles are fitted.
    """

    def __init__(
        self, task: Task, sampler: Sampler, trunk: Trunk, plan: Plan, held_out: int, recipe: Recipe
    ) -> None:
        self.task, self.sampler, self.trunk, self.plan = task, sampler, trunk, plan
        self.held_out, self.recipe = held_out, recipe

    def runs(self, cells: Sequence[Cell], seed: int) -> list[Run]:
        """All cells on the same candidates and the same held-out pairs."""
        plan = replace(self.plan, seed=seed)
        candidates = self._candidates(plan)
        drawn = draw_pairs(self.task, self.sampler, self.held_out, "test", seed_of(seed, "held out"))
        check = Check(self.task, self.trunk.read(drawn))
        return [self._run(cell, replace(plan, query=cell.query), candidates, check) for cell in cells]

    def _candidates(self, plan: Plan) -> Callable[[int], CandidatePairs]:
        """The candidates of each round, read once."""
        draw = candidates_of(self.task, self.sampler, plan)
        return cache(lambda number: self.trunk.read(draw(number)))

    def _run(self, cell: Cell, plan: Plan, draw: Callable[[int], CandidatePairs], check: Check) -> Run:
        teacher = make_annotator(cell.annotator, self.task, seed=plan.seed, **cell.traits)
        recipe = replace(self.recipe, members=cell.members)
        if cell.labels > 1:
            plan = replace(plan, budget=cell.labels * plan.budget, rounds=1, pool=2.0)
            draw = self._candidates(plan)
        rounds = list(
            collect(
                plan,
                draw,
                teacher,
                lambda labels, number: fit_heads(labels, seed_of(plan.seed, f"fit {number}"), recipe),
            )
        )
        scores = [check.scores(one) for one in rounds]
        found = [check.accuracy(one.mean(0)) for one in scores]
        alone = [check.accuracy(member).accuracy for member in scores[-1]]
        asked = rounds[-1].asked
        curve = tuple(one.accuracy for one in found)
        single = sum(alone) / len(alone)
        return Run(cell, plan.seed, found[-1], curve, single, asked.rate(TIE), asked.rate(SKIP))


class Check:
    """Held-out pairs with their true utilities.

    Args:
        task: Says what is true.
        pairs: The pairs, read by the trunk.
    """

    def __init__(self, task: Task, pairs: CandidatePairs) -> None:
        self._pairs, self._answers = pairs, pairs.answers
        self._utility = [
            task.utility(one.response, one.response_length, pairs.prompts.reference).reward
            for one in map(pairs.episodes, (0, 1))
        ]

    def scores(self, after: Round) -> Tensor:
        """The scores of the members after a round, (members, 2 n)."""
        assert isinstance(after.scorer, Heads)
        return after.scorer.predict(self._answers)

    def accuracy(self, scores: Tensor) -> PairAccuracy:
        """How often the better answer has the higher score; exact ties of utility are left out."""
        first, second = self._utility
        return pair_accuracy(scores[::2], scores[1::2], first, second, sampler=self._pairs.sampler)


def exactly_one_right(task: Task, pairs: CandidatePairs) -> bool:
    """Whether in every pair one answer has utility 1 and the other one 0."""
    both = [
        task.utility(one.response, one.response_length, pairs.prompts.reference).reward
        for one in map(pairs.episodes, (0, 1))
    ]
    utility = torch.stack(both).sort(0).values
    return bool((utility[0] == 0).all() and (utility[1] == 1).all())
