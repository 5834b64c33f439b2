"""Biases: what is perceived is what the formula, or the missing sense, says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from answered import good_answers, pairs, prompts, spoiled, utility

from feedback.annotators import Blind, Favourite, Length, Myopic, SimulatedAnnotator, make_bias
from feedback.annotators.biases import beginning
from mm_envs.episodes import Episodes
from mm_envs.tasks import make_task


def words_of(task: Any, words: list[str], like: Episodes) -> Episodes:
    """The same sentences message of every item."""
    tokens = torch.stack([task.answer.vocabulary.encode(text, task.horizon, eos=True) for text in words])
    length = torch.tensor([len(text.split()) for text in words])
    return Episodes({}, tokens, length, like.reference, like.key)


# Myopia -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.3, 0.9, 1.0])
def test_myopia_weighs_each_step_as_its_formula_says(gamma: float) -> None:
    task, answers, _ = pairs(40)
    seen = SimulatedAnnotator(task, biases=[Myopic(gamma)]).perceive(answers)
    assert answers.response_length is not None
    for row in range(len(answers)):
        steps = int(answers.response_length[row])
        one = answers.take(torch.tensor([row]))
        prefix = [float(utility(task, beginning(task, one, t))) for t in range(steps + 1)]
        expected = gamma**steps * prefix[0]
        for t in range(steps):
            expected += gamma ** (steps - 1 - t) * (prefix[t + 1] - prefix[t])
        assert float(seen[row]) == pytest.approx(expected, abs=1e-5)


def test_without_discount_nothing_is_forgotten() -> None:
    task, answers, _ = pairs(200)
    seen = SimulatedAnnotator(task, biases=[Myopic(1.0)]).perceive(answers)
    assert torch.equal(seen, utility(task, answers))


def test_for_answers_of_one_step_myopia_changes_nothing() -> None:
    task, first, second = pairs(100, "vqa")
    for answers in (first, second):
        seen = SimulatedAnnotator(task, biases=[Myopic(0.1)]).perceive(answers)
        assert torch.equal(seen, utility(task, answers))


# Missing senses ---------------------------------------------------------------------------------------------


def recoloured(task: Any, answers: Episodes, shift: int) -> Episodes:
    """Every colour word exchanged for another one."""
    first = task.answer.vocabulary.ids["red"]
    colours = task.dataset.config.colours
    index = answers.response - first
    other = (index + shift) % colours + first
    response = torch.where((index >= 0) & (index < colours), other, answers.response)
    return Episodes({}, response, answers.response_length, answers.reference, answers.key)


def test_who_hears_nothing_does_not_tell_colours_apart_that_are_only_heard() -> None:
    task, asked = prompts(300, sound="complement")
    best = good_answers(task, asked)
    blind = SimulatedAnnotator(task, biases=[Blind("audio")])
    for answers in (best, spoiled(task, best, 1), spoiled(task, best, 3)):
        seen = blind.perceive(answers)
        for shift in range(1, task.dataset.config.colours):  # type: ignore[attr-defined]
            other = recoloured(task, answers, shift)
            assert torch.equal(blind.perceive(other), seen)
            assert not torch.equal(utility(task, other), utility(task, answers))


def test_who_sees_nothing_flips_coins_over_captions_of_pictures() -> None:
    task, first, second = pairs(4000)
    blind = SimulatedAnnotator(task, biases=[Blind("image")], rationality=8.0)
    assert (blind.perceive(first) == 0).all()
    better = utility(task, first) > utility(task, second)
    right = (blind.compare(first, second).choice == 0) == better
    assert abs(right.double().mean() - 0.5) < 4 * 0.5 / len(right) ** 0.5


def test_what_is_still_carried_is_perceived() -> None:
    task, asked = prompts(300, sound="complement")
    best = good_answers(task, asked)
    seen = SimulatedAnnotator(task, biases=[Blind("audio")]).perceive(best)
    parts = task.utility(best.response, best.response_length, dict(asked.reference)).parts
    torch.testing.assert_close(seen, parts["shape"] + parts["size"] + parts["relation"])
    # Questions are carried by several modalities together: none alone carries anything.
    vqa, first, _ = pairs(50, "vqa")
    assert torch.equal(SimulatedAnnotator(vqa, biases=[Blind("image")]).perceive(first), utility(vqa, first))


def test_grammar_is_that_of_the_answer_as_it_was_given() -> None:
    task, asked = prompts(2, sound="complement")
    message = words_of(task, ["a red circle", "a circle red"], good_answers(task, asked))
    deaf = SimulatedAnnotator(task, biases=[Blind("audio")])
    parts = task.utility(message.response, message.response_length, dict(asked.reference)).parts
    assert parts["grammar"][1] < parts["grammar"][0] == 0
    without = words_of(task, ["a circle", "a circle"], good_answers(task, asked))
    expected = (deaf.perceive(without) + parts["grammar"]).clamp(0, 1)
    torch.testing.assert_close(deaf.perceive(message), expected)


# Tastes -----------------------------------------------------------------------------------------------------


def test_a_favourite_word_counts_only_where_it_is_used() -> None:
    task, asked = prompts(2)
    message = words_of(task, ["a red circle", "a blue circle"], good_answers(task, asked))
    plain, fond = (
        SimulatedAnnotator(task, biases=biases).perceive(message)
        for biases in ([], [Favourite("red", strength=2.0)])
    )
    torch.testing.assert_close(fond - plain, torch.tensor([2 * task.utility_deviation, 0.0]))
    assert message.response_length is not None
    behind = Episodes({}, message.response, torch.tensor([1, 1]), message.reference, message.key)
    nothing = SimulatedAnnotator(task, biases=[Favourite("red")]).perceive(behind)
    assert torch.equal(nothing, SimulatedAnnotator(task).perceive(behind))


def test_a_favourite_answer() -> None:
    task, asked = prompts(50, "vqa")
    answers = asked.answered(torch.arange(50) % int(task.action_space.n))  # type: ignore[attr-defined]
    fond = SimulatedAnnotator(task, biases=[Favourite("yes", strength=1.0)]).perceive(answers)
    gain = torch.tensor([task.words(one) == "yes" for one in answers.response]) * task.utility_deviation
    torch.testing.assert_close(fond, utility(task, answers) + gain)


def test_length_is_worth_its_share() -> None:
    task, asked = prompts(2)
    message = words_of(task, ["a red circle", "a small red circle"], good_answers(task, asked))
    difference = SimulatedAnnotator(task, biases=[Length(3.0)]).perceive(message) - SimulatedAnnotator(
        task
    ).perceive(message)
    expected = 3 * task.utility_deviation * torch.tensor([3.0, 4.0]) / task.horizon
    torch.testing.assert_close(difference, expected)


# Plain values -----------------------------------------------------------------------------------------------


def test_biases_are_made_of_plain_values() -> None:
    assert make_bias({"kind": "myopic", "gamma": 0.5}) == Myopic(0.5)
    assert make_bias({"kind": "blind", "modalities": ["image", "audio"]}) == Blind(("image", "audio"))
    assert make_bias(Length(2.0)) == Length(2.0)


@pytest.mark.parametrize(
    ("bias", "sentence"),
    [
        ({"kind": "blnd"}, "bias kind='blnd' is not one of blind, myopic"),
        ({"gamma": 0.5}, "bias kind=None is not one of"),
        ({"kind": ["blind"]}, "is not one of"),
        ({"kind": "myopic", "gama": 0.5}, "did you mean gamma"),
        ({"kind": "blind"}, "bias 'blind' does not take"),
        ({"kind": "myopic", "gamma": "x"}, "bias 'myopic' does not take"),
        ({"kind": "myopic", "gamma": 0.0}, "gamma=0.0 is not within"),
        ({"kind": "length", "strength": float("nan")}, "strength=nan is no finite number"),
        ({"kind": "blind", "modalities": "smell"}, "blind modality='smell' is not one of image"),
        ({"kind": "favourite", "word": "puce"}, "word 'puce' is in no answer: name one of a, "),
    ],
)
def test_biases_that_do_not_fit_are_refused(bias: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SimulatedAnnotator(make_task("caption", items=64), biases=[bias])


def test_no_annotator_is_blinded_behind_another_bias() -> None:
    with pytest.raises(ValueError, match="name it first"):
        SimulatedAnnotator(make_task("caption", items=64), biases=[Length(), Blind("image")])
