"""One collection: which pairs are asked about, and how it goes on from what a store holds of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from feedback.annotators import AnnotatorPool
from feedback.candidates import Sampler, make_sampler
from feedback.preferences import CHOICES, Answers, Labelled, Pairwise
from feedback.queries import divide
from feedback.reward_models import FitConfig, fit
from feedback.rounds import Asked, CandidatePairs, Plan, Round, Scorer, draw_pairs, seed_of
from feedback.rounds import collect as asked_in_rounds
from mm_envs.cli.feedback.source import pool_of
from mm_envs.engine.ticket import Ticket

if TYPE_CHECKING:
    from agents.run_folder import Setting
    from feedback.store import PreferenceStore
    from mm_envs.cli.feedback.collect import Collect
    from mm_envs.tasks.task import Task

# Few labels are kept aside in early rounds, and their loss jumps.
_PATIENCE = 5
# Candidates for each query, as Plan has it; then how often more questions may be drawn, and some to spare.
_POOL, _DOUBLED, _SPARE = 10, 5, 16
_ANOTHER = "use another --seed for another collection"


@dataclass(frozen=True)
class Grown(Plan):
    """A plan whose rounds have sizes that are given: a collection may grow after it was finished.

    Attributes:
        sizes: How many queries each round has.
    """

    sizes: tuple[int, ...] = ()

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many queries each round has."""
        return self.sizes


class Nothing:
    """What chooses where nothing has been learnt: all answers are worth the same."""

    def predict(self, answers: Answers) -> Tensor:
        """Zeros, (1, a)."""
        return torch.zeros(1, len(answers))

    def features(self, answers: Answers) -> Tensor:
        """Zeros, (a, 1)."""
        return torch.zeros(len(answers), 1)


@dataclass
class Collection:
    """Everything that decides what is asked.

    Attributes:
        options: What the user typed.
        setting: The environment.
        task: Its task.
        sampler: Answers the questions.
        pool: Who is asked.
    """

    options: Collect
    setting: Setting
    task: Task
    sampler: Sampler
    pool: AnnotatorPool
    _versions: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Collect, setting: Setting) -> Collection:
        """The collection that options describe."""
        task = setting.make(1, split=options.split).task
        pool = pool_of(options.annotators, task, options.votes, options.seed)
        return cls(options, setting, task, make_sampler(options.sampler, task), pool)

    def chooser(self, number: int) -> str:
        """The version of the reward models that chose the queries of a round; empty for none."""
        return self._versions.get(number - 1, "")

    def rounds(self, earlier: Asked | None) -> Iterator[Round]:
        """Asks what is left, round by round."""
        sizes = self._sizes(_counts(earlier))
        if earlier is not None and sum(sizes) == len(earlier):
            return iter(())
        plan = Grown(sum(sizes), len(sizes), self.options.query, seed=self.options.seed, sizes=sizes)
        last = len(sizes) - 1

        def learn(labelled: Labelled, number: int) -> Scorer:
            return Nothing() if number == last else self._learnt(labelled, number)

        return asked_in_rounds(
            plan, lambda number: self._draw(number, sizes[number]), self.pool, learn, earlier
        )

    def stored(self, store: PreferenceStore) -> Asked | None:
        """What a store holds of this collection; None for nothing.

        Raises:
            ValueError: The same questions were put with other answers, or to another number of annotators.
        """
        by_seed = self._by_seed(store)
        parts: list[Asked] = []
        while votes := by_seed.get(seed_of(self.options.seed, f"round {len(parts)}")):
            parts.append(self._asked(len(parts), votes))
        if not parts:
            return None
        found = parts[0]
        for one in parts[1:]:
            found = found + one
        return found

    # Behind -----------------------------------------------------------------------------------------------

    def _draw(self, number: int, count: int) -> CandidatePairs:
        most = count if self.options.query == "uniform" else _POOL * count
        seed = seed_of(self.options.seed, f"round {number}")
        return drawn(self.setting, self.sampler, count, most, self.options.split, seed)

    def _learnt(self, labelled: Labelled, number: int) -> Scorer:
        if self.options.query == "uniform":
            return Nothing()
        config = FitConfig(members=self.options.members, patience=_PATIENCE, seed=self.options.seed)
        fitted = fit(labelled, self.task, config)
        self._versions[number] = fitted.records[:16]
        return fitted.model

    def _sizes(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """How many pairs each round has: those that were asked, then what is left."""
        budget, rounds = self.options.pairs, 1 if self.options.query == "uniform" else self.options.rounds
        fresh = _divided(budget, rounds, self.options.schedule)
        if fresh[: len(asked)] == asked:
            return fresh
        return asked + _divided(budget - sum(asked), rounds, self.options.schedule)

    def _by_seed(self, store: PreferenceStore) -> dict[int, dict[str, list[Pairwise]]]:
        """The votes on each item of this collection, by the seed of their questions."""
        found: dict[int, dict[str, list[Pairwise]]] = {}
        for one in store.records(kind="pairwise", environment=self.setting.id):
            if one.annotator in self.pool.names and one.sampler == self.sampler.name:
                assert isinstance(one, Pairwise)
                found.setdefault(Ticket.parse(one.item).seed, {}).setdefault(one.item, []).append(one)
        return found

    def _asked(self, number: int, votes: Mapping[str, Sequence[Pairwise]]) -> Asked:
        pairs = self._draw(number, len(votes))
        places = {ticket: row for row, ticket in enumerate(pairs.tickets)}
        unknown = next((item for item in votes if item not in places), None)
        if unknown is not None:
            raise ValueError(f"{unknown} was asked about in this collection by other rules: {_ANOTHER}")
        rows = torch.tensor([places[item] for item in votes])
        words = [self.task.answer.formats(pairs.response[rows, side]) for side in (0, 1)]
        for said, *answers in zip(votes.values(), *words, strict=True):
            self._check_same(said, tuple(answers))
        return Asked(torch.full_like(rows, number), rows, *self._votes(list(votes.values())))

    def _check_same(self, said: Sequence[Pairwise], answers: tuple[str, ...]) -> None:
        if len(said) != self.pool.votes:
            raise ValueError(
                f"the store holds {len(said)} votes on {said[0].item}, and {self.pool.votes} are asked for: "
                f"give --votes {len(said)}, or {_ANOTHER}"
            )
        if any(one.answers != answers for one in said):
            raise ValueError(f"{said[0].item} was asked about with other answers: {_ANOTHER}")

    def _votes(self, votes: Sequence[Sequence[Pairwise]]) -> tuple[Tensor, ...]:
        """Annotator, choice, what was displayed first, and latency: (q, v) each."""
        read: tuple[Any, ...] = (
            lambda one: self.pool.names.index(one.annotator),
            lambda one: CHOICES.index(one.choice),
            lambda one: one.displayed[:1] != (1,),
            lambda one: one.latency or 0.0,
        )
        return tuple(torch.tensor([[value(one) for one in said] for said in votes]) for value in read)


def drawn(
    setting: Setting, sampler: Sampler, count: int, questions: int, split: str, seed: int
) -> CandidatePairs:
    """Pairs of different answers, each to one question.

    Args:
        setting: The environment.
        sampler: Answers the questions.
        count: How many pairs are needed.
        questions: How many questions are drawn, at least; more where too many answers are equal.
        split: Which items.
        seed: Decides questions and answers.

    Raises:
        ValueError: The sampler hardly ever gives two different answers.
    """
    for doubled in range(_DOUBLED):
        n = (questions << doubled) + _SPARE
        pairs = draw_pairs(setting.id, sampler, n, split, seed, **setting.arguments)
        if len(pairs) >= count:
            return pairs
    raise ValueError(
        f"sampler {sampler.name!r} gives {len(pairs):,} pairs of different answers to {n:,} questions, and "
        f"{count:,} are needed: take another --sampler"
    )


def _counts(asked: Asked | None) -> tuple[int, ...]:
    return () if asked is None else tuple(torch.bincount(asked.round).tolist())


def _divided(budget: int, rounds: int, schedule: str) -> tuple[int, ...]:
    """Sizes of rounds, none of them empty."""
    if budget <= 0:
        return ()
    return tuple(size for size in divide(budget, rounds, schedule) if size)
