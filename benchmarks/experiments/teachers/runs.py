"""Collections of labels: teachers and queries on the same candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from benchmarks.experiments.teachers.heads import Heads, Recipe, fit_heads
from benchmarks.experiments.teachers.trunk import Trunk
from feedback.active_learning import CandidatePairs, Plan, Round, candidates_of, collect, draw_pairs, seed_of
from feedback.annotators import make_annotator
from feedback.preferences import SKIP, TIE
from feedback.responses import PairAccuracy, Sampler, pair_accuracy
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class Arm:
    """A teacher with a query strategy.

    Attributes:
        name: The name of the teacher in tables.
        query: How pairs are chosen.
        annotator: A name of ``feedback.annotators.ANNOTATORS``.
        traits: Further arguments of it.
        members: Of the ensemble.
        labels: How many times the budget is spent; above 1 in a single round.
    """

    name: str
    query: str
    annotator: str
    traits: Mapping[str, Any] = field(default_factory=dict, hash=False)
    members: int = 3
    labels: int = 1


class Regime:
    """The source of answers, and what all arms of a seed share.

    Args:
        task: The task.
        sampler: The source of answers.
        trunk: Encodes the answers.
        plan: Budget, rounds and pool.
        held_out: Pairs of the test split that are drawn.
        recipe: How ensembles are fitted.
    """

    def __init__(
        self, task: Task, sampler: Sampler, trunk: Trunk, plan: Plan, held_out: int, recipe: Recipe
    ) -> None:
        self.task, self.sampler, self.trunk, self.plan = task, sampler, trunk, plan
        self.held_out, self.recipe = held_out, recipe

    def runs(self, arms: Sequence[Arm], seed: int) -> list[dict[str, Any]]:
        """All arms on the same candidates and the same held-out pairs."""
        plan = replace(self.plan, seed=seed)
        candidates = self._candidates(plan)
        drawn = draw_pairs(self.task, self.sampler, self.held_out, "test", seed_of(seed, "held out"))
        check = Check(self.task, self.trunk.encode(drawn))
        return [self._run(arm, replace(plan, query=arm.query), candidates, check) for arm in arms]

    def _candidates(self, plan: Plan) -> Callable[[int], CandidatePairs]:
        """The candidates of each round, encoded once."""
        draw = candidates_of(self.task, self.sampler, plan)
        return cache(lambda number: self.trunk.encode(draw(number)))

    def _run(
        self, arm: Arm, plan: Plan, draw: Callable[[int], CandidatePairs], check: Check
    ) -> dict[str, Any]:
        teacher = make_annotator(arm.annotator, self.task, seed=plan.seed, **arm.traits)
        recipe = replace(self.recipe, members=arm.members)
        if arm.labels > 1:
            plan = replace(plan, budget=arm.labels * plan.budget, rounds=1, pool=2.0)
            draw = self._candidates(plan)
        done = list(
            collect(
                plan,
                draw,
                teacher,
                lambda labels, number: fit_heads(labels, seed_of(plan.seed, f"fit {number}"), recipe),
            )
        )
        scores = [check.scores(one) for one in done]
        found = [check.accuracy(one.mean(0)) for one in scores]
        alone = [check.accuracy(member).accuracy for member in scores[-1]]
        log = done[-1].asked
        return {
            "teacher": arm.name,
            "query": arm.query,
            **asdict(found[-1]),
            "curve": [one.accuracy for one in found],
            "single": sum(alone) / len(alone),
            "ties": log.rate(TIE),
            "skips": log.rate(SKIP),
        }


class Check:
    """Held-out pairs with their true utilities.

    Args:
        task: Computes the utility.
        pairs: The pairs, encoded by the trunk.
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
