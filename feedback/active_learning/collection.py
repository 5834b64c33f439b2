"""Collections of labels by simulated annotators, resumed from what a store holds of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from feedback.active_learning.asking import QueryLog, items_of, queries_of, records
from feedback.active_learning.loop import Plan, Round, Scorer, collect
from feedback.active_learning.pairs import CandidatePairs, draw_pairs, seed_of
from feedback.annotators import AnnotatorPool, make_pool
from feedback.collection import task_of
from feedback.preferences import CHOICES, Answers, Labelled, Pairwise
from feedback.queries import divide
from feedback.responses import Sampler, make_sampler
from feedback.reward_models import FitConfig, fit
from feedback.store import PreferenceStore
from mm_envs.engine.ticket import Ticket
from mm_envs.tasks.task import Task

# Few labels are held out in early rounds, and their loss is noisy.
_PATIENCE = 5
# Questions for each query, as Plan has it; then how often more may be drawn, and some to spare.
_POOL, _DOUBLED, _SPARE = 10, 5, 16
_ANOTHER = "use another seed for another collection"


class Uninformed:
    """The scorer of rounds in which nothing is learned: all answers are worth the same."""

    def predict(self, answers: Answers) -> Tensor:
        """Zeros, (1, a)."""
        return torch.zeros(1, len(answers))

    def features(self, answers: Answers) -> Tensor:
        """Zeros, (a, 1)."""
        return torch.zeros(len(answers), 1)


@dataclass(frozen=True)
class Collection:
    """Everything that decides what is asked.

    Attributes:
        id: The environment.
        arguments: Its arguments.
        task: Its task.
        sampler: Answers the questions.
        pool: The annotators.
        plan: How many pairs, in how many rounds, chosen how.
        split: The items that are asked about.
        members: Reward models of the ensemble that chooses.
    """

    id: str
    arguments: Mapping[str, Any]
    task: Task
    sampler: Sampler
    pool: AnnotatorPool
    plan: Plan
    split: str = "train"
    members: int = 3
    _versions: dict[int, str] = field(default_factory=dict, repr=False)

    @classmethod
    def make(
        cls,
        name: str,
        arguments: Mapping[str, Any],
        annotators: str,
        sampler: str,
        plan: Plan,
        votes: int | None = None,
        split: str = "train",
        members: int = 3,
    ) -> Collection:
        """The collection of an environment id and the names of annotators and sampler."""
        task = task_of(name, split=split, **arguments)
        pool = make_pool(annotators, task, votes, plan.seed)
        return cls(name, arguments, task, make_sampler(sampler, task), pool, plan, split, members)

    def run(
        self, store: PreferenceStore, progress: Callable[[int, int], None] = lambda number, pairs: None
    ) -> dict[str, Any]:
        """Asks the pairs that are missing in a store, and stores the labels of each round as a whole.

        Args:
            store: Where queries and labels are kept.
            progress: Called after each round with its number and how many pairs have labels.

        Returns:
            A summary, as JSON values.

        Raises:
            ValueError: The store holds other labels on the same questions.
        """
        earlier = self.stored(store)
        before, given = 0 if earlier is None else len(earlier), list[Pairwise]()
        for one in self.rounds(earlier):
            rows = (one.asked.round == one.number).nonzero()[:, 0]
            asked, pairs = one.asked.take(rows), one.pairs.take(rows)
            chooser = self._versions.get(one.number - 1, "")
            labels = records(self.task, pairs, asked, self.pool.names, chooser)
            queries = queries_of(self.task, pairs, chooser)
            store.submit(labels, items_of(self.task, pairs), queries)
            given += labels
            progress(one.number, len(one.asked))
        pairs_asked = max(before, self.plan.budget) if given or before else 0
        return {
            "id": self.id,
            "sampler": self.sampler.name,
            "query": self.plan.query,
            "pairs": pairs_asked,
            "new": pairs_asked - before,
            "votes": self.pool.votes,
            "records": store.count(kind="pairwise", environment=self.id),
            "annotators": {
                name: count for name, count in store.annotators().items() if name in self.pool.names
            },
            "choices": dict(sorted(Counter(one.choice for one in given).items())),
        }

    def rounds(self, earlier: QueryLog | None) -> Iterator[Round]:
        """Asks what is left, round by round."""
        counts = () if earlier is None else tuple(torch.bincount(earlier.round).tolist())
        sizes = self._sizes(counts)
        if earlier is not None and sum(sizes) == len(earlier):
            return iter(())
        plan = replace(self.plan, budget=sum(sizes), rounds=len(sizes), sizes=sizes)
        last = len(sizes) - 1

        def learn(labelled: Labelled, number: int) -> Scorer:
            return Uninformed() if number == last else self._fitted(labelled, number)

        return collect(plan, lambda number: self._draw(number, sizes[number]), self.pool, learn, earlier)

    def stored(self, store: PreferenceStore) -> QueryLog | None:
        """The queries of this collection in a store; None for none."""
        by_seed = self._by_seed(store)
        found: QueryLog | None = None
        number = 0
        while votes := by_seed.get(seed_of(self.plan.seed, f"round {number}")):
            part = self._stored_round(number, votes)
            found = part if found is None else QueryLog.join([found, part])
            number += 1
        return found

    # Internal ---------------------------------------------------------------------------------------------

    def _draw(self, number: int, count: int) -> CandidatePairs:
        questions = count if self.plan.query == "uniform" else _POOL * count
        seed = seed_of(self.plan.seed, f"round {number}")
        return differing_pairs(self.id, self.sampler, count, questions, self.split, seed, **self.arguments)

    def _fitted(self, labelled: Labelled, number: int) -> Scorer:
        if self.plan.query == "uniform":
            return Uninformed()
        config = FitConfig(members=self.members, patience=_PATIENCE, seed=self.plan.seed)
        fitted = fit(labelled, self.task, config)
        self._versions[number] = fitted.records[:16]
        return fitted.model

    def _sizes(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """How many pairs each round has: those that were asked, then what is left."""
        fresh = self._divided(self.plan.budget)
        if fresh[: len(asked)] == asked:
            return fresh
        return asked + self._divided(self.plan.budget - sum(asked))

    def _divided(self, budget: int) -> tuple[int, ...]:
        """Sizes of rounds, none of them empty."""
        rounds = 1 if self.plan.query == "uniform" else self.plan.rounds
        sizes = divide(budget, rounds, self.plan.schedule) if budget > 0 else ()
        return tuple(size for size in sizes if size)

    def _by_seed(self, store: PreferenceStore) -> dict[int, dict[str, list[Pairwise]]]:
        """The votes on each item of this collection, by the seed of their questions."""
        found: dict[int, dict[str, list[Pairwise]]] = {}
        for one in store.records(kind="pairwise", environment=self.id):
            if one.annotator in self.pool.names and one.sampler == self.sampler.name:
                assert isinstance(one, Pairwise)
                found.setdefault(Ticket.parse(one.item).seed, {}).setdefault(one.item, []).append(one)
        return found

    def _stored_round(self, number: int, votes: Mapping[str, Sequence[Pairwise]]) -> QueryLog:
        pairs = self._draw(number, len(votes))
        row_of = {ticket: row for row, ticket in enumerate(pairs.tickets)}
        unknown = next((item for item in votes if item not in row_of), None)
        if unknown is not None:
            raise ValueError(f"{unknown} was asked about in this collection by other rules: {_ANOTHER}")
        rows = torch.tensor([row_of[item] for item in votes])
        words = [self.task.answer.formats(pairs.response[rows, side]) for side in (0, 1)]
        for given, *answers in zip(votes.values(), *words, strict=True):
            self._check_same(given, tuple(answers))
        columns: tuple[Callable[[Pairwise], Any], ...] = (
            lambda one: self.pool.names.index(one.annotator),
            lambda one: CHOICES.index(one.choice),
            lambda one: one.displayed[:1] != (1,),
            lambda one: one.latency or 0.0,
        )
        values = (torch.tensor([[of(one) for one in given] for given in votes.values()]) for of in columns)
        return QueryLog(torch.full_like(rows, number), rows, *values)

    def _check_same(self, given: Sequence[Pairwise], answers: tuple[str, ...]) -> None:
        if len(given) != self.pool.votes:
            raise ValueError(
                f"the store holds {len(given)} votes on {given[0].item}, not {self.pool.votes}: ask for "
                f"{len(given)} votes, or {_ANOTHER}"
            )
        if any(one.answers != answers for one in given):
            raise ValueError(f"{given[0].item} was asked about with other answers: {_ANOTHER}")


def differing_pairs(
    name: str, sampler: Sampler, count: int, questions: int, split: str, seed: int, **arguments: Any
) -> CandidatePairs:
    """Pairs of different answers, each to one question.

    Args:
        name: The id of an environment.
        sampler: Answers the questions.
        count: How many pairs are needed.
        questions: How many questions are drawn at least; more where many answers are equal.
        split: Which items.
        seed: Decides questions and answers.
        arguments: Further arguments of the environment.

    Raises:
        ValueError: The sampler hardly ever gives two different answers.
    """
    for doubled in range(_DOUBLED):
        n = (questions << doubled) + _SPARE
        pairs = draw_pairs(name, sampler, n, split, seed, **arguments)
        if len(pairs) >= count:
            return pairs
    raise ValueError(
        f"sampler {sampler.name!r} gives {len(pairs):,} pairs of different answers to {n:,} questions, and "
        f"{count:,} are needed: take another sampler"
    )
