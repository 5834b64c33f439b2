"""The loop of online feedback: draw pairs, ask about those that teach the ensemble most, fit it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from feedback.active_learning.asking import QueryLog, ask, labelled, names_of
from feedback.active_learning.pairs import CandidatePairs, draw_pairs, seed_of
from feedback.annotators import AnnotatorPool, Comparer
from feedback.preferences import Answers, Labelled
from feedback.queries import QUERIES, SCHEDULES, divide, pair_features, select
from feedback.responses import PairAccuracy, Sampler, pair_accuracy
from mm_envs.names import at_least, check_one_of
from mm_envs.tasks.task import Task


class Scorer(Protocol):
    """An ensemble that chooses queries, such as ``feedback.reward_models.Ensemble``."""

    def predict(self, answers: Answers) -> Tensor:
        """The score of each answer by each member, (members, a), without gradients."""
        ...

    def features(self, answers: Answers) -> Tensor:
        """Features of the answers, (a, F): what k-center measures distances between."""
        ...


@dataclass(frozen=True)
class Plan:
    """How many queries are asked, and how they are chosen.

    Attributes:
        budget: How many queries, skipped ones included.
        rounds: In how many rounds, after each of which the ensemble is fitted again.
        query: A key of ``feedback.queries.QUERIES``; in the first round pairs are drawn uniformly.
        pool: How many candidates there are for each query.
        schedule: How the budget is divided, a key of ``feedback.queries.SCHEDULES``.
        seed: Decides candidates and choices.
        sizes: How many queries each round has, where this is not what the schedule gives.
    """

    budget: int = 180
    rounds: int = 6
    query: str = "disagreement"
    pool: float = 10.0
    schedule: str = "constant"
    seed: int = 0
    sizes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        at_least("budget", self.budget, 1, "ask at least once")
        at_least("rounds", self.rounds, 1, "ask in at least one round")
        at_least("pool", self.pool, 1, "1 asks about all candidates")
        check_one_of("query", self.query, QUERIES)
        check_one_of("schedule", self.schedule, SCHEDULES)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many queries each round has."""
        return self.sizes or divide(self.budget, self.rounds, self.schedule)


@dataclass(frozen=True)
class Round:
    """The state of a collection after a round.

    Attributes:
        number: The round.
        pairs: All pairs that were asked about, a row a query, in the order of ``asked``.
        asked: The answers to all queries so far.
        labelled: The same as labels to learn from.
        scorer: The ensemble that was fitted to them.
    """

    number: int
    pairs: CandidatePairs
    asked: QueryLog
    labelled: Labelled
    scorer: Scorer


def candidates_of(
    task: str | Task, sampler: Sampler, plan: Plan, split: str = "train", **arguments: Any
) -> Callable[[int], CandidatePairs]:
    """The candidates of each round, a function of its number: ``pool`` times as many questions as queries.

    Args:
        task: The id of an environment, or a task.
        sampler: Answers the questions.
        plan: Its seed, pool and counts decide which and how many.
        split: The items that are asked about.
        arguments: Further arguments of the environment, if ``task`` is an id.
    """

    def draw(number: int) -> CandidatePairs:
        n = round(plan.pool * plan.counts[number])
        return draw_pairs(task, sampler, n, split, seed_of(plan.seed, f"round {number}"), **arguments)

    return draw


def collect(
    plan: Plan,
    draw: Callable[[int], CandidatePairs],
    annotators: Comparer | AnnotatorPool,
    learn: Callable[[Labelled, int], Scorer],
    earlier: QueryLog | None = None,
) -> Iterator[Round]:
    """Collects labels round by round.

    Candidates follow from the seed and the round, the ensemble from the labels before it, the choice from
    both. So an interrupted collection, given its answers, asks what it would have asked.

    Args:
        plan: What to ask.
        draw: The candidates of a round, a pure function of its number (``candidates_of`` makes one).
        annotators: Who is asked.
        learn: Fits an ensemble to all labels so far; a pure function of them and of the number of the round.
        earlier: The queries of an earlier run of the same plan.

    Yields:
        The state after each round in which something was asked; once if there is nothing left to ask.

    Raises:
        ValueError: There are fewer candidates than queries, or ``earlier`` is of another plan.
    """
    _refuse_other_plan(plan, earlier)
    asked, before, done = earlier, _Learner(draw, annotators, learn), False
    for number, count in enumerate(plan.counts):
        known = 0 if asked is None else int((asked.round == number).sum())
        if known == count and (number < plan.rounds - 1 or done):
            continue
        if known < count:
            asked = _asked(plan, number, before, asked)
        assert asked is not None
        done = True
        yield before.fitted(asked, number)


class _Learner:
    """The questions, who answers them, and what is learnt from the answers."""

    def __init__(
        self,
        draw: Callable[[int], CandidatePairs],
        annotators: Comparer | AnnotatorPool,
        learn: Callable[[Labelled, int], Scorer],
    ) -> None:
        self.annotators, self._draw, self._learn = annotators, draw, learn
        self._drawn: tuple[int, CandidatePairs] | None = None
        self._about: dict[int, tuple[Tensor, CandidatePairs]] = {}
        self._last: Round | None = None

    def candidates(self, number: int) -> CandidatePairs:
        """The candidates of a round; those of the last one are kept, as sampling takes time."""
        if self._drawn is None or self._drawn[0] != number:
            self._drawn = number, self._draw(number)
        return self._drawn[1]

    def fitted(self, asked: QueryLog, number: int) -> Round:
        """The ensemble after a round."""
        if self._last is None or self._last.number != number:
            rounds = sorted(set(asked.round.tolist()))
            pairs = CandidatePairs.join(
                [self._asked_about(one, asked.row[asked.round == one]) for one in rounds]
            )
            labels = labelled(pairs, asked, names_of(self.annotators))
            self._last = Round(number, pairs, asked, labels, self._learn(labels, number))
        return self._last

    def _asked_about(self, number: int, rows: Tensor) -> CandidatePairs:
        known = self._about.get(number)
        if known is None or not torch.equal(known[0], rows):
            known = self._about[number] = rows, self.candidates(number).take(rows)
        return known[1]


def _asked(plan: Plan, number: int, learner: _Learner, asked: QueryLog | None) -> QueryLog:
    """All answers, once those of a round that are missing have been given."""
    pairs = learner.candidates(number)
    last = None
    if asked is not None and number > 0:
        last = learner.fitted(asked.take(asked.round < number), number - 1)
    rows = choose(plan, number, pairs, last)
    if asked is None:
        return ask(learner.annotators, pairs, number, rows)
    answered = asked.row[asked.round == number]
    if not torch.equal(answered, rows[: len(answered)]):
        raise ValueError(f"what was asked in round {number} is not what this plan asks: resume with its plan")
    return QueryLog.join([asked, ask(learner.annotators, pairs, number, rows[len(answered) :], asked)])


@torch.no_grad()
def choose(plan: Plan, number: int, pairs: CandidatePairs, last: Round | None) -> Tensor:
    """The rows of candidates to ask about in a round, in that order; ``last`` is the round before."""
    generator = torch.Generator().manual_seed(seed_of(plan.seed, f"choice of round {number}"))
    count = plan.counts[number]
    if last is None or QUERIES[plan.query] == QUERIES["uniform"]:
        # Nothing is known, or nothing has to be.
        nothing = torch.zeros(1, len(pairs), device=pairs.response.device)
        return select("uniform", nothing, count, generator=generator)
    scores = last.scorer.predict(pairs.answers)
    features = known = None
    if QUERIES[plan.query].spread:
        features, known = (_features(last.scorer, some) for some in (pairs, last.pairs))
    difference = scores[:, ::2] - scores[:, 1::2]
    return select(plan.query, difference, count, generator=generator, features=features, labelled=known)


def _features(scorer: Scorer, pairs: CandidatePairs) -> Tensor:
    features = scorer.features(pairs.answers)
    return pair_features(features[::2], features[1::2])


def _refuse_other_plan(plan: Plan, earlier: QueryLog | None) -> None:
    if earlier is None or not len(earlier):
        return
    rounds = earlier.round.tolist()
    if rounds != sorted(rounds) or rounds[0] < 0 or rounds[-1] >= plan.rounds:
        raise ValueError(
            "earlier answers are not in the order of the rounds of this plan: resume with its plan"
        )
    counts = [rounds.count(number) for number in range(plan.rounds)]
    if (
        any(counts[i] != plan.counts[i] for i in range(rounds[-1]))
        or counts[rounds[-1]] > plan.counts[rounds[-1]]
    ):
        raise ValueError(
            f"earlier answers are {counts} a round, the plan asks {list(plan.counts)}: resume with its plan"
        )


def held_out_accuracy(scorer: Scorer, pairs: CandidatePairs, task: Task) -> PairAccuracy:
    """How often the mean score of the members is higher for the answer of higher true utility.

    Give pairs of another split than that which was asked about; exact ties of utility are left out.
    """
    scores = scorer.predict(pairs.answers).mean(0)
    first, second = (
        task.utility(one.response, one.response_length, pairs.prompts.reference).reward
        for one in map(pairs.episodes, (0, 1))
    )
    return pair_accuracy(scores[::2], scores[1::2], first, second, pairs.sampler)
