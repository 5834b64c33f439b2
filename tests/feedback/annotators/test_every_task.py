"""Annotators of every registered id: they agree with the truth, mend, show, and see as their biases say."""

from __future__ import annotations

import math

import pytest
import torch
from every_task import EVERY_TASK, hashes, prompts_of, task_of

from feedback.annotators import Bias, Blind, Favourite, Length, Myopic, SimulatedAnnotator, make_annotator
from feedback.annotators.blindness import unseen_parts
from feedback.preferences import FIRST, SECOND, TIE
from feedback.responses import Edits, MismatchedReferences, Mixture, RightAndWrong
from mm_envs.episodes import Episodes
from mm_envs.feedback_sources import true_utility
from mm_envs.tasks import Task
from mm_envs.tasks.play import answered

N = 60

# A word of the answers of each task; None where answers are numbers.
FAVOURITES: dict[str, str | None] = {
    "MMClassify-v0": "red",
    "MMClassify-sound-v0": "red",
    "MMClassify-digits-v0": "3",
    "MMClassify-distribution-v0": None,
    "MMVQA-v0": "yes",
    "MMVQA-sound-v0": "yes",
    "MMVQA-tokens-v0": "yes",
    "MMRetrieve-v0": "3",
    "MMGround-v0": None,
    "MMGuess-v0": "red",
    "retrieve ranking": None,
    "classify distribution": None,
}


def two_answers(name: str) -> tuple[Task, Episodes, Episodes]:
    """Good, edited and other answers, as they come; played, so that replies are heard."""
    task, prompts = task_of(name), prompts_of(name, N)
    sampler = Mixture([RightAndWrong(task), Edits(task), MismatchedReferences(task)])
    response, length = sampler.sample(prompts, 2)
    sizes = (None, None) if length is None else length.unbind(1)
    first, second = (answered(task, prompts, response[:, side], sizes[side]) for side in (0, 1))
    return task, first, second


def utility(task: Task, episodes: Episodes) -> torch.Tensor:
    return true_utility(task, episodes).reward


@pytest.mark.parametrize("name", EVERY_TASK)
def test_an_oracle_agrees_with_the_truth(name: str) -> None:
    task, first, second = two_answers(name)
    who = SimulatedAnnotator(task)
    gap = utility(task, first) - utility(task, second)
    clear = gap.abs() > 1e-5
    assert clear.sum() > N / 4
    result = who.compare(first, second)
    assert torch.equal(result.choice[clear], torch.where(gap > 0, FIRST, SECOND)[clear])
    assert (result.choice[gap == 0] == TIE).all()
    assert ((result.latency > 0) & result.latency.isfinite()).all()
    assert torch.equal(who.rate(first), utility(task, first).clamp(0, 1))
    assert torch.equal(who.approve(first), utility(task, first) >= 0.5)
    ranked = who.rank([first, second])
    assert torch.equal(ranked[clear, 0], (gap < 0).to(torch.int64)[clear])


@pytest.mark.parametrize("kind", ["noisy", "mistake", "coin", "tired"])
@pytest.mark.parametrize("name", EVERY_TASK)
def test_others_say_the_same_of_a_row_whatever_surrounds_it(name: str, kind: str) -> None:
    task, first, second = two_answers(name)
    who, rows = make_annotator(kind, task, seed=3), torch.tensor([5, 5, 40, 2])
    together = who.compare(first, second).choice[rows]
    assert torch.equal(who.compare(first.take(rows), second.take(rows)).choice, together)
    assert torch.equal(who.rate(first.take(rows)), who.rate(first)[rows])
    assert torch.equal(who.correct(first.take(rows))[0], who.correct(first)[0][rows])


@pytest.mark.parametrize("name", EVERY_TASK)
def test_a_correction_is_at_least_as_good_and_an_answer_of_the_kind(name: str) -> None:
    task, first, _ = two_answers(name)
    prompts, kind = prompts_of(name, N), task.answer
    poor = answered(task, prompts, *kind.finish(kind.random(hashes(N))))
    for given in (first, poor):
        response, length = SimulatedAnnotator(task).correct(given)
        assert response.shape == given.response.shape
        assert (length is None) == (given.response_length is None)
        mended = answered(task, prompts, response, length)
        assert (utility(task, mended) >= utility(task, given)).all()
        # Of several references the nearest one that is better, which need not be the best.
        assert utility(task, mended).mean() > (0.6 if task.answer.name == "text" else 0.99)
        for row in response:
            assert kind.space.contains(row.numpy() if row.ndim else row.item())
            assert torch.equal(kind.parse(kind.format(row)), row)
    untouched, _ = make_annotator("coin", task).correct(poor)
    assert torch.equal(untouched, poor.response)


@pytest.mark.parametrize("name", EVERY_TASK)
def test_a_demonstration_is_the_best_answer_but_for_mistakes(name: str) -> None:
    task, prompts = task_of(name), prompts_of(name, N)
    response, length = SimulatedAnnotator(task).demonstrate(prompts)
    shown = answered(task, prompts, response, length)
    assert utility(task, shown).mean() > 0.99
    slips, size = SimulatedAnnotator(task, mistakes=1.0).demonstrate(prompts)
    assert (slips != response).view(N, -1).any(1).all()
    assert utility(task, answered(task, prompts, slips, size)).mean() < utility(task, shown).mean()
    for row in slips:
        assert task.answer.space.contains(row.numpy() if row.ndim else row.item())


@pytest.mark.parametrize("name", EVERY_TASK)
def test_only_words_are_critiqued(name: str) -> None:
    task, first, _ = two_answers(name)
    who = SimulatedAnnotator(task)
    if task.answer.name == "text":
        result = who.critique(first)
        assert ((result.stop - result.start >= 0) & (result.stop - result.start <= 1)).all()
    else:
        with pytest.raises(ValueError, match="have no parts: ask for corrections"):
            who.critique(first)


# Biases -------------------------------------------------------------------------------------------------


def perceived(task: Task, episodes: Episodes, *biases: Bias) -> torch.Tensor:
    return SimulatedAnnotator(task, biases=biases).perceive(episodes)


@pytest.mark.parametrize("name", EVERY_TASK)
def test_who_lacks_every_modality_perceives_no_difference_that_only_they_carry(name: str) -> None:
    task, first, second = two_answers(name)
    prompts = prompts_of(name, N)
    bias = Blind(task.modalities)
    assert unseen_parts(task, task.modalities)
    seen = perceived(task, first, bias)
    assert ((seen >= 0) & (seen <= 1)).all()
    if task.answer.name != "text" or len(task.part_modalities) == 1:
        assert torch.equal(seen, torch.zeros(N))
        assert (SimulatedAnnotator(task, biases=[bias]).compare(first, second).choice == TIE).all()
    # Nothing is left to answer from: demonstrations are guesses, and nothing is mended.
    shown, length = SimulatedAnnotator(task, biases=[bias]).demonstrate(prompts)
    best, _ = SimulatedAnnotator(task).demonstrate(prompts)
    assert not torch.equal(shown, best)
    guessed = utility(task, answered(task, prompts, shown, length)).mean()
    assert guessed < 0.8
    mended, _ = SimulatedAnnotator(task, biases=[bias]).correct(first)
    assert mended.shape == first.response.shape


@pytest.mark.parametrize("name", EVERY_TASK)
def test_a_modality_that_is_not_there_cannot_be_missed(name: str) -> None:
    with pytest.raises(ValueError, match="blind modality='smell' is not one of"):
        SimulatedAnnotator(task_of(name), biases=[Blind("smell")])


@pytest.mark.parametrize("name", EVERY_TASK)
def test_myopia_and_length_concern_words_alone(name: str) -> None:
    task, first, _ = two_answers(name)
    truth = utility(task, first)
    long, forgetful = perceived(task, first, Length(2.0)), perceived(task, first, Myopic(0.5))
    if first.response_length is None:
        assert torch.equal(long, truth)
        assert torch.equal(forgetful, truth)
    else:
        worth = 2.0 * task.utility_deviation * first.response_length / task.horizon
        assert torch.allclose(long, truth + worth, atol=1e-5)
        assert torch.equal(perceived(task, first, Myopic(1.0)), truth)
        assert (forgetful <= truth + 1e-6).all()


@pytest.mark.parametrize("name", EVERY_TASK)
def test_a_favourite_word_counts_where_answers_have_words(name: str) -> None:
    task, first, _ = two_answers(name)
    word = FAVOURITES.get(name, "red")
    if word is None:
        with pytest.raises(
            ValueError, match="word 'red' is in no answer: the answers to this task are numbers"
        ):
            SimulatedAnnotator(task, biases=[Favourite("red")])
        return
    held = torch.tensor(
        [word in text.replace("/", " ").split() for text in task.answer.formats(first.response)]
    )
    more = perceived(task, first, Favourite(word, 2.0)) - utility(task, first)
    assert 0 < held.sum() < N
    assert torch.allclose(more, 2.0 * task.utility_deviation * held, atol=1e-5)
    with pytest.raises(ValueError, match="word 'smelly' is in no answer"):
        SimulatedAnnotator(task, biases=[Favourite("smelly")])


@pytest.mark.parametrize("name", EVERY_TASK)
def test_chances_are_those_of_the_difference_of_utility(name: str) -> None:
    task, first, second = two_answers(name)
    gap = (utility(task, first) - utility(task, second)) / task.utility_deviation
    chance = SimulatedAnnotator(task, rationality=2.0).probability(first, second)
    assert torch.allclose(chance, torch.sigmoid(2.0 / math.sqrt(2) * gap), atol=1e-5)
