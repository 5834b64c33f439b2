"""The loop of online feedback: what is spent, what is asked, and that it goes on from its answers alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from feedback.active_learning import (
    CandidatePairs,
    Plan,
    QueryLog,
    Round,
    Scorer,
    ask,
    candidates_of,
    collect,
    held_out_accuracy,
    seed_of,
)
from feedback.annotators import AnnotatorPool, Comparison
from feedback.preferences import FIRST, SECOND, SKIP, TIE, Answers, Labelled
from mm_envs.episodes import Episodes, Judgement, Prompts
from mm_envs.random import fold
from mm_envs.tasks import make_task

SIZE = 5
TRUTH = torch.arange(1.0, SIZE + 1)


def draw(number: int, seed: int = 0, n: int = 60) -> CandidatePairs:
    """Pairs of vectors; the utility is a linear function of them."""
    generator = torch.Generator().manual_seed(seed_of(seed, f"round {number}"))
    response = torch.randn(n, 2, SIZE, generator=generator)
    key = torch.stack([torch.full((n,), number), torch.arange(n), torch.zeros(n, dtype=torch.int64)], 1)
    prompts = Prompts({"bias": torch.ones(n, 1)}, {"row": torch.arange(n)}, key, torch.arange(n))
    return CandidatePairs(prompts, response, sampler="vectors")


@dataclass
class Teacher:
    """Sure of the better answer; skips and ties now and then; may prefer what is displayed first."""

    name: str = "teacher"
    skips: bool = False
    ties: bool = False
    biased: bool = False

    def compare(self, first: Episodes, second: Episodes, label: Tensor | None = None) -> Comparison:
        assert label is not None
        better = (first.response - second.response) @ TRUTH > 0
        choice = torch.where(better | self.biased, FIRST, SECOND)
        assert first.reference is not None
        row = first.reference["row"]
        if self.skips:
            choice = torch.where(row % 3 == 0, SKIP, choice)
        if self.ties:
            choice = torch.where(row % 3 == 1, TIE, choice)
        return Comparison(choice, label.float())


class Linear:
    """Members whose weights are drawn around those of a ridge regression."""

    def __init__(self, labels: Labelled, number: int, members: int = 3) -> None:
        pairs, response = labels.pairs, labels.answers.response
        x, y = response[pairs.first] - response[pairs.second], 2 * pairs.target - 1
        weight = torch.linalg.solve(x.T @ x + torch.eye(SIZE), x.T @ y)
        noise = torch.randn(members, SIZE, generator=torch.Generator().manual_seed(number))
        self.weight = weight + noise / (1 + len(y)) ** 0.5

    def predict(self, answers: Answers) -> Tensor:
        return self.weight @ answers.response.T

    def features(self, answers: Answers) -> Tensor:
        return answers.response


def plan(query: str = "disagreement", **arguments: object) -> Plan:
    return Plan(**{"budget": 25, "rounds": 4, "query": query, **arguments})  # type: ignore[arg-type]


def run(one: Plan, teacher: object = None, earlier: QueryLog | None = None) -> list[Round]:
    return list(collect(one, draw, teacher or Teacher(), Linear, earlier))  # type: ignore[arg-type]


def equal(one: QueryLog, other: QueryLog) -> bool:
    return all(torch.equal(value, getattr(other, name)) for name, value in vars(one).items())


QUERY = ("uniform", "disagreement", "entropy", "k_center", "k_center_entropy")


@pytest.mark.parametrize("query", QUERY)
@pytest.mark.parametrize("schedule", ["constant", "hyperbolic"])
def test_the_budget_is_spent_exactly_and_no_pair_is_asked_about_twice(query: str, schedule: str) -> None:
    one = plan(query, schedule=schedule)
    rounds = run(one, Teacher(skips=True))
    asked = rounds[-1].asked
    assert [len(part.asked) for part in rounds] == torch.tensor(one.counts).cumsum(0).tolist()
    assert len(asked) == 25
    assert len({*zip(asked.round.tolist(), asked.row.tolist(), strict=True)}) == 25
    assert 0 < asked.rate(SKIP) < 1
    # What was skipped is recorded as spent, and nothing is learnt from it.
    assert len(rounds[-1].labelled.pairs) == int((asked.choice != SKIP).sum())


@pytest.mark.parametrize("query", QUERY)
def test_it_goes_on_from_any_number_of_answers(query: str) -> None:
    one = plan(query)
    unbroken = run(one)[-1]
    for answered in (1, 6, 7, 13, 24, 25):
        some = unbroken.asked.take(torch.arange(answered))
        resumed = run(one, earlier=some)[-1]
        assert equal(resumed.asked, unbroken.asked), answered
        assert torch.equal(resumed.scorer.weight, unbroken.scorer.weight)  # type: ignore[attr-defined]


def test_rounds_that_were_over_are_not_fitted_again() -> None:
    one = plan()
    full = run(one)[-1].asked
    fits: list[int] = []

    def learn(labels: Labelled, number: int) -> Scorer:
        fits.append(number)
        return Linear(labels, number)

    earlier = full.take(full.round < 2)
    rounds = list(collect(one, draw, Teacher(), learn, earlier))
    assert [part.number for part in rounds] == [2, 3]
    assert fits == [1, 2, 3]


def test_the_candidates_of_a_round_are_drawn_once() -> None:
    drawn: list[int] = []

    def counted(number: int) -> CandidatePairs:
        drawn.append(number)
        return draw(number)

    list(collect(plan(), counted, Teacher(), Linear))
    assert drawn == [0, 1, 2, 3]


def test_answers_of_another_plan_are_refused() -> None:
    full = run(plan())[-1].asked
    with pytest.raises(ValueError, match="resume with its plan"):
        run(plan(seed=1), earlier=full.take(torch.arange(5)))
    with pytest.raises(ValueError, match="resume with its plan"):
        run(plan(budget=40), earlier=full)
    with pytest.raises(ValueError, match="resume with its plan"):
        run(plan(rounds=2), earlier=full)
    with pytest.raises(ValueError, match="resume with its plan"):
        run(plan(), earlier=full.take(torch.arange(25).flip(0)))


def test_the_first_round_is_the_same_for_all_queries() -> None:
    rows = [run(plan(query))[0].asked.row.tolist() for query in QUERY]
    assert all(one == rows[0] for one in rows)
    assert rows[0] != run(plan(seed=1))[0].asked.row.tolist()


def test_the_ensemble_decides_what_is_asked() -> None:
    """In the second round the pairs on which the members differ most, and no others."""
    first, second = run(plan())[:2]
    pairs = draw(1)
    scores = first.scorer.predict(pairs.answers).view(3, -1, 2)
    spread = (scores[..., 0] - scores[..., 1]).sigmoid().std(0)
    rows = second.asked.row[second.asked.round == 1]
    assert spread[rows].tolist() == spread.sort(descending=True).values[: len(rows)].tolist()


def test_ties_are_half_a_label_each() -> None:
    last = run(plan(), Teacher(ties=True))[-1]
    pairs = last.labelled.pairs
    assert last.asked.rate(TIE) == pytest.approx(float((pairs.target == 0.5).double().mean()))
    assert 0 < last.asked.rate(TIE) < 1


def test_labels_speak_of_the_pairs_that_were_asked_about() -> None:
    last = run(plan())[-1]
    pairs, response = last.labelled.pairs, last.labelled.answers.response
    right = (response[pairs.first] - response[pairs.second]) @ TRUTH > 0
    assert torch.equal(pairs.target == 1, right)
    for number in range(4):
        rows = last.asked.row[last.asked.round == number]
        asked = last.pairs.response[last.asked.round == number]
        assert torch.equal(asked, draw(number).response[rows])


def test_either_answer_may_be_displayed_first_and_choices_speak_of_the_answers() -> None:
    pairs, rows = draw(0, n=200), torch.arange(200)
    fair, biased = (ask(Teacher(biased=bias), pairs, 0, rows) for bias in (False, True))
    assert 60 < int(fair.shown_first.sum()) < 140  # 200 coins: outside with probability 1e-8
    better = (pairs.response[:, 0] - pairs.response[:, 1]) @ TRUTH > 0
    assert torch.equal(fair.choice[:, 0] == FIRST, better)
    assert torch.equal(biased.choice == FIRST, biased.shown_first)
    # Which one is displayed first depends on the question, not on the other questions.
    some = ask(Teacher(), pairs, 0, rows[50:60], fair.take(rows[:50]))
    assert equal(some, fair.take(rows[50:60]))


def test_a_pool_votes_several_times_on_every_query_and_tires() -> None:
    pool = AnnotatorPool([Teacher("one"), Teacher("other"), Teacher("third")], votes=2)
    last = run(plan(), pool)[-1]
    assert last.asked.choice.shape == (25, 2)
    assert len(last.labelled.pairs) == 50
    assert last.labelled.annotators == ("one", "other", "third")
    # These teachers say how many labels they gave before: each counts 0, 1, 2, ... over all rounds.
    for who in range(3):
        counted = last.asked.latency[last.asked.annotator == who]
        assert counted.tolist() == list(range(len(counted)))
    resumed = run(plan(), pool, earlier=last.asked.take(torch.arange(9)))[-1]
    assert equal(resumed.asked, last.asked)


def test_plans_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="budget=0 is below 1"):
        plan(budget=0)
    with pytest.raises(ValueError, match="query='best' is not one of uniform"):
        plan("best")
    with pytest.raises(ValueError, match="schedule='fast' is not one of constant"):
        plan(schedule="fast")
    with pytest.raises(ValueError, match="draw more candidates"):
        run(plan(budget=400))


class Digits:
    """Two random classes each."""

    name = "random classes"

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, None]:
        hashes = fold(prompts.key[:, 1:2], seed, torch.arange(answers))
        return hashes % 10, None


def test_candidates_of_an_environment_differ_and_depend_on_seed_and_round_alone() -> None:
    one = plan(pool=4)
    task = make_task("classify", dataset="digits")
    pairs = candidates_of(task, Digits(), one)(2)
    again = candidates_of(task, Digits(), one)(2)
    assert bool(pairs.differ.all())
    assert 12 <= len(pairs) <= 24
    assert torch.equal(pairs.response, again.response)
    assert torch.equal(pairs.prompts.key, again.prompts.key)
    other = candidates_of(task, Digits(), replace(one, seed=1))(2)
    assert not torch.equal(pairs.prompts.key, other.prompts.key)


def test_what_frozen_parts_read_goes_with_its_pair() -> None:
    """Models are handed what was read, annotators the answers; the same is asked either way."""

    def read(number: int) -> CandidatePairs:
        pairs = draw(number)
        return replace(pairs, response=pairs.response.clone(), read=pairs.response)

    plain = run(plan())[-1]
    last = list(collect(plan(), read, Teacher(), Linear))[-1]
    assert equal(last.asked, plain.asked)
    assert torch.equal(last.labelled.answers.response, plain.labelled.answers.response)
    assert list(last.labelled.answers.contexts) != list(plain.labelled.answers.contexts)


def test_accuracy_on_held_out_pairs_is_that_of_the_mean_and_leaves_ties_out() -> None:
    class Truth:
        def utility(self, response: Tensor, length: Tensor | None, reference: object) -> Judgement:
            return Judgement((response @ TRUTH).clamp(min=0))  # all that is below 0 is a tie

    last, pairs = run(plan())[-1], draw(7, n=500)
    found = held_out_accuracy(last.scorer, pairs, Truth())  # type: ignore[arg-type]
    first, second = (pairs.response @ TRUTH).clamp(min=0).unbind(1)
    mean = pairs.response @ last.scorer.weight.mean(0)  # type: ignore[attr-defined]
    right = ((mean[:, 0] > mean[:, 1]) == (first > second))[first != second]
    assert found.accuracy == pytest.approx(float(right.double().mean()))
    assert found.tie_rate == pytest.approx(float((first == second).double().mean()))
    assert 0.1 < found.tie_rate < 0.5
    assert found.sampler == "vectors"
