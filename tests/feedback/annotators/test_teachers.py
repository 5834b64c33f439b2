"""B-Pref's six teachers: in their order of reliability, and without five faults of the published code."""

from __future__ import annotations

import math

import pytest
import torch
from answered import good_answers, pairs, prompts, repeated, spoiled, utility
from torch import Tensor

from feedback.annotators import (
    ANNOTATORS,
    CHARACTERS,
    TEACHERS,
    AnnotatorPool,
    Comparison,
    Decision,
    Length,
    Myopic,
    SimulatedAnnotator,
    make_annotator,
)
from feedback.annotators.biases import beginning
from feedback.preferences import FIRST, SECOND, SKIP, TIE
from mm_envs.episodes import Episodes
from mm_envs.tasks import make_task


def test_there_are_six_teachers_and_their_names_are_no_others() -> None:
    assert list(TEACHERS) == ["oracle", "mistake", "noisy", "skip", "myopic", "equal"]
    assert not set(TEACHERS) & set(CHARACTERS)
    task = make_task("caption", items=64)
    for kind in ANNOTATORS:
        assert make_annotator(kind, task).name == kind
    with pytest.raises(ValueError, match="annotator='orakel' is not one of oracle, mistake"):
        make_annotator("orakel", task)
    with pytest.raises(ValueError, match="did you mean mistakes"):
        make_annotator("oracle", task, mistake=0.1)


def test_they_err_as_their_names_say() -> None:
    task, first, second = pairs(4000, times=(2, 2))
    better = utility(task, first) - utility(task, second)
    right = {}
    for kind in TEACHERS:
        choice = make_annotator(kind, task).compare(first, second).choice
        result = (choice <= SECOND) & (better.abs() > 1e-6)
        right[kind] = float(((choice == FIRST) == (better > 0))[result].double().mean())
    # What these three say of a pair is true: they are silent about others.
    assert right["oracle"] == right["skip"] == right["equal"] == 1.0
    assert abs(right["mistake"] - 0.9) < 4 * math.sqrt(0.09 / 4000)
    assert 0.6 < right["noisy"] < 0.9
    assert 0.9 < right["myopic"] < 0.98
    for kind, least in (("equal", TIE), ("skip", SKIP)):
        choice = make_annotator(kind, task).compare(first, second).choice
        assert (choice == least).any()


def test_skipping_looks_at_the_better_answer_and_equality_at_the_whole_ones() -> None:
    task, asked = prompts(500)
    best = good_answers(task, asked)
    poor = spoiled(task, best, 3)
    s = task.utility_deviation
    skipped = SimulatedAnnotator(task, skip=0.9 / s).compare(best, poor).choice == SKIP
    assert not skipped.any()
    worse = spoiled(task, poor, 1)
    seen = torch.maximum(utility(task, poor), utility(task, worse))
    skipped = SimulatedAnnotator(task, skip=1.0).compare(poor, worse).choice == SKIP
    assert torch.equal(skipped, seen / s <= 1.0)
    assert 0 < skipped.sum() < 500
    # Equality is judged without myopia.
    gap = (utility(task, best) / s - utility(task, poor) / s).abs()
    tied = SimulatedAnnotator(task, equal=1.0, biases=[Myopic(0.3)]).compare(best, poor).choice == TIE
    assert torch.equal(tied & (gap > 1e-4), (gap < 1.0) & (gap > 1e-4))
    assert 0 < tied.sum() < 500


# Five faults ------------------------------------------------------------------------------------------------


def counted(kind: str, fault: int, worth: Tensor) -> int:
    decision = Decision(**{kind: 0.1})
    ones = torch.ones_like(worth)
    choice = decision.choice(worth, worth, worth, torch.zeros(len(worth), dtype=torch.int64), ones, None)
    return int((choice == fault).sum())


def test_thresholds_are_applied_once_and_stay_what_they_are() -> None:
    # Of 1,000 values up to 1 standard deviation a tenth lies below a threshold of 0.1, not a hundredth.
    worth = (torch.arange(1000) + 0.5) / 1000
    for _ in range(3):
        assert counted("equal", TIE, worth) == 100
        assert counted("skip", SKIP, worth) == 100
    task, first, second = pairs(3000, times=(2, 2))
    teacher = SimulatedAnnotator(task, equal=0.8)
    tied = (utility(task, first) - utility(task, second)).abs() < 0.8 * task.utility_deviation
    assert 0 < tied.sum() < 3000
    for _ in range(3):
        assert torch.equal(teacher.compare(first, second).choice == TIE, tied)


def test_negative_utilities_do_not_switch_thresholds_off() -> None:
    task, first, second = pairs(1000, times=(2, 2))
    sour = [Length(-40.0)]
    seen = SimulatedAnnotator(task, biases=sour).perceive(first)
    assert seen.max() < 0
    assert (SimulatedAnnotator(task, biases=sour, equal=100.0).compare(first, second).choice == TIE).all()
    assert (SimulatedAnnotator(task, biases=sour, skip=0.1).compare(first, second).choice == SKIP).all()


def test_rationality_does_not_grow_with_the_length_of_answers() -> None:
    chances = []
    for words in (12, 30):
        task, asked = prompts(200, max_tokens=words)
        best = good_answers(task, asked)
        chances.append(make_annotator("noisy", task).probability(best, spoiled(task, best, 2)))
        assert chances[-1].max() < 0.99
    torch.testing.assert_close(chances[0], chances[1])


class Silent:
    """Somebody who is right where it says anything, and often says nothing."""

    name = "silent"

    def __init__(self, oracle: SimulatedAnnotator, silence: int) -> None:
        self.oracle, self.silence = oracle, silence

    def compare(self, first: Episodes, second: Episodes, label: Tensor | None = None) -> Comparison:
        result = self.oracle.compare(first, second, label)
        assert first.key is not None
        choice = torch.where(first.key[:, 1] % 2 == 0, self.silence, result.choice)
        return Comparison(choice, result.latency)


@pytest.mark.parametrize("silence", [TIE, SKIP])
def test_ties_and_skips_are_no_wrong_answers(silence: int) -> None:
    task, first, second = pairs(500)
    pool = AnnotatorPool([Silent(SimulatedAnnotator(task), silence), make_annotator("equal", task)])
    assert pool.skill(task, first, second).tolist() == [1.0, 1.0]
    # Two equal answers have no right order, whatever is result of them.
    with pytest.raises(ValueError, match="no two answers differ"):
        pool.skill(task, first, first)


def test_the_last_word_counts_and_counts_most() -> None:
    task, asked = prompts(30)
    best = good_answers(task, asked)
    assert best.response_length is not None
    myopic = SimulatedAnnotator(task, biases=[Myopic(1e-6)])
    for row in range(30):
        steps = int(best.response_length[row])
        answer = repeated(best, row, 1)
        before = utility(task, beginning(task, answer, steps - 1))
        change = utility(task, answer) - before
        # Who forgets everything at once perceives what the last step has changed, with weight 1.
        torch.testing.assert_close(myopic.perceive(answer), change, atol=1e-5, rtol=0)
        assert change != 0
