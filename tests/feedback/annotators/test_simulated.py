"""One simulated person: the same says the same in every batch, and as often as the formulas say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import gymnasium as gym
import pytest
import torch
from answered import good_answers, pairs, prompts, repeated, spoiled, utility
from torch import Tensor

import mm_envs
from feedback.annotators import AnnotatorFeedback, SimulatedAnnotator, make_annotator
from feedback.preferences import FIRST, SECOND, TIE
from mm_envs.answers import response_hashes
from mm_envs.data.scenes.layout import COLOURS
from mm_envs.episodes import Episodes
from mm_envs.tasks import make_task

PERSON: dict[str, Any] = {
    "rationality": 2.0,
    "mistakes": 0.1,
    "skip": 0.2,
    "equal": 0.3,
    "position": 0.4,
    "fatigue": 30.0,
    "biases": ({"kind": "myopic"}, {"kind": "length"}, {"kind": "favourite", "word": "red"}),
    "scale": 0.2,
    "seed": 5,
}


def tensors(given: Any) -> list[Tensor]:
    """All tensors of an answer."""
    if isinstance(given, Tensor):
        return [given]
    values = given if isinstance(given, tuple) else vars(given).values()
    return [value for value in values if value is not None]


# The same in every batch ------------------------------------------------------------------------------------

ASKED: dict[str, Callable[[SimulatedAnnotator, Episodes, Episodes, Tensor], Any]] = {
    "compare": lambda who, one, other, label: who.compare(one, other, label),
    "rate": lambda who, one, other, label: who.rate(one, label),
    "score": lambda who, one, other, label: who.score(one).reward,
    "approve": lambda who, one, other, label: who.approve(one, label),
    "rank": lambda who, one, other, label: who.rank([one, other, one], label),
    "correct": lambda who, one, other, label: who.correct(other, label),
    "critique": lambda who, one, other, label: who.critique(other, label),
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("sound", ["none", "complement"])
def test_labels_depend_on_no_other_row(name: str, sound: str) -> None:
    task, first, second = pairs(60, sound=sound)
    biases = PERSON["biases"]
    if sound == "complement":
        biases = ({"kind": "blind", "modalities": "audio"}, *biases)
    who, ask = SimulatedAnnotator(task, **{**PERSON, "biases": biases}), ASKED[name]
    label = torch.arange(60)
    together = tensors(ask(who, first, second, label))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    shuffled = tensors(ask(who, first.take(order), second.take(order), label[order]))
    for all_rows, mixed in zip(together, shuffled, strict=True):
        assert torch.equal(all_rows[order], mixed)
    for row in (0, 31, 59):
        here = torch.tensor([row])
        alone = tensors(ask(who, first.take(here), second.take(here), label[here]))
        for all_rows, one in zip(together, alone, strict=True):
            assert torch.equal(all_rows[here], one)


@pytest.mark.parametrize("name", ["caption", "vqa"])
def test_a_demonstration_depends_on_no_other_row(name: str) -> None:
    task, asked = prompts(40, name)
    who = SimulatedAnnotator(task, mistakes=0.5, fatigue=20.0)
    label = torch.arange(40)
    together = tensors(who.demonstrate(asked, label))
    for row in (0, 17, 39):
        here = torch.tensor([row])
        for all_rows, one in zip(
            together, tensors(who.demonstrate(asked.take(here), label[here])), strict=True
        ):
            assert torch.equal(all_rows[here], one)


def test_padding_is_no_part_of_an_answer() -> None:
    _, first, _ = pairs(50)
    longer = torch.nn.functional.pad(first.response, (0, 3), value=9)
    assert torch.equal(
        response_hashes(longer, first.response_length), response_hashes(first.response, first.response_length)
    )
    assert response_hashes(torch.eye(4)).unique().numel() == 4
    assert response_hashes(first.response, first.response_length).unique().numel() == len(
        {tuple(row) for row in first.response.tolist()}
    )


# Pairs ------------------------------------------------------------------------------------------------------


def test_without_position_bias_display_does_not_matter() -> None:
    task, first, second = pairs(2000)
    who = SimulatedAnnotator(task, rationality=1.0, mistakes=0.2, skip=0.3, equal=0.2)
    there, back = who.compare(first, second), who.compare(second, first)
    different = (first.response != second.response).any(1)
    swapped = torch.tensor([1, 0, 2, 3])[back.choice]
    assert torch.equal(there.choice[different], swapped[different])
    assert torch.equal(there.latency, back.latency)


def test_a_position_bias_turns_only_choices_towards_what_is_displayed_first() -> None:
    task, first, second = pairs(4000)
    fair = SimulatedAnnotator(task, rationality=2.0)
    biased = SimulatedAnnotator(task, rationality=2.0, position=1.0)
    for one, other in ((first, second), (second, first)):
        result, pulled = fair.compare(one, other).choice, biased.compare(one, other).choice
        assert ((result == pulled) | (pulled == FIRST)).all()
        chance = biased.probability(one, other).double()
        spread = (chance * (1 - chance)).sum().sqrt() / len(chance)
        assert abs((pulled == FIRST).double().mean() - chance.mean()) < 4 * spread + 1e-4
        assert (pulled == FIRST).double().mean() > (result == FIRST).double().mean() + 0.03


@pytest.mark.parametrize(("rationality", "mistakes"), [(0.5, 0.0), (1.5, 0.0), (1.0, 0.2)])
def test_of_two_answers_to_a_question_exactly_one_is_right(rationality: float, mistakes: float) -> None:
    task, asked = prompts(4000, "vqa")
    right = good_answers(task, asked)
    wrong = spoiled(task, right)
    assert utility(task, right).eq(1).all()
    assert utility(task, wrong).eq(0).all()
    result = SimulatedAnnotator(task, rationality=rationality, mistakes=mistakes).compare(right, wrong)
    sharp = 1 / (1 + math.exp(-rationality / (math.sqrt(2) * task.utility_deviation)))
    expected = (1 - mistakes) * sharp + mistakes * (1 - sharp)
    # Four standard errors: a fair draw fails once in 16,000 times; the seed is fixed.
    spread = 4 * math.sqrt(expected * (1 - expected) / 4000)
    assert abs((result.choice == FIRST).double().mean() - expected) < spread
    assert (SimulatedAnnotator(task).compare(wrong, right).choice == SECOND).all()
    assert (SimulatedAnnotator(task).compare(wrong, wrong).choice == TIE).all()


def test_other_pairs_other_people_and_other_episodes_draw_other_noise() -> None:
    task, first, second = pairs(3000, times=(2, 2))
    result = [SimulatedAnnotator(task, rationality=0.0, seed=seed).compare(first, second) for seed in (0, 1)]
    same = (result[0].choice == result[1].choice).double().mean()
    assert abs(same - 0.5) < 4 * 0.5 / math.sqrt(3000)
    again = SimulatedAnnotator(task, rationality=0.0, seed=0).compare(first, second)
    assert torch.equal(again.choice, result[0].choice)
    assert first.key is not None
    moved = replace(first, key=first.key + torch.tensor([0, 0, 1]))
    other = SimulatedAnnotator(task, rationality=0.0).compare(moved, second).choice
    assert abs((other == result[0].choice).double().mean() - 0.5) < 4 * 0.5 / math.sqrt(3000)


def test_close_pairs_take_longer() -> None:
    task, asked = prompts(2000)
    who, best = SimulatedAnnotator(task, seconds=3.0), good_answers(task, asked)
    close, clear = who.compare(best, best).latency, who.compare(best, spoiled(task, best, 4)).latency
    assert close.median() > 1.2 * clear.median()
    assert abs(close.log().median() - math.log(6.0)) < 4 * 1.2533 * 0.3 / math.sqrt(2000)


# Several answers --------------------------------------------------------------------------------------------


def test_rankings_follow_plackett_and_luce() -> None:
    n = 6000
    task, asked = prompts(20)
    best = good_answers(task, asked)
    answers = [repeated(spoiled(task, best, times, 3), 4, n) for times in (0, 1, 3)]
    b, s = 1.0, math.sqrt(2) * task.utility_deviation
    worth = [math.exp(b * float(utility(task, one)[0]) / s) for one in answers]
    assert len(set(worth)) == 3
    order = SimulatedAnnotator(task, rationality=b).rank(answers)
    statistic = 0.0
    for ranking in permutations(range(3)):
        a, c, d = (worth[index] for index in ranking)
        expected = n * a / (a + c + d) * c / (c + d)
        found = int((order == torch.tensor(ranking)).all(1).sum())
        statistic += (found - expected) ** 2 / expected
    # Chi-squared with 5 degrees of freedom: above 25.7 once in 10,000 times.
    assert statistic < 25.7


def test_a_ranking_of_two_is_a_comparison() -> None:
    task, first, second = pairs(4000)
    who = SimulatedAnnotator(task, rationality=1.0, mistakes=0.1, position=0.5)
    ranked = (who.rank([first, second])[:, 0] == 0).double()
    chance = who.probability(first, second).double()
    spread = (chance * (1 - chance)).sum().sqrt() / len(chance)
    assert abs(ranked.mean() - chance.mean()) < 4 * spread + 1e-4
    oracle = SimulatedAnnotator(task)
    order = oracle.rank([second, first, spoiled(task, second, 2)])
    worth = torch.stack([utility(task, one) for one in (second, first, spoiled(task, second, 2))], 1)
    assert (worth.gather(1, order).diff(dim=1) <= 0).all()


def test_without_noise_a_ranking_is_that_of_the_comparisons() -> None:
    task, first, second = pairs(3000)
    worth = torch.stack([utility(task, first), utility(task, second)], 1)
    clear = (worth[:, 0] - worth[:, 1]).abs() > 1e-5
    assert 50 < (~clear).sum() < 3000
    for position in (0.0, 1.5):
        who = SimulatedAnnotator(task, position=position)
        best = who.rank([first, second])[:, 0]
        assert torch.equal(best[clear], who.compare(first, second).choice[clear])
    # Of answers that seem equal each comes first as often, unless they are the same.
    task, first, second = pairs(3000, times=(2, 2))
    equal = (utility(task, first) == utility(task, second)) & (first.response != second.response).any(1)
    n = int(equal.sum())
    assert n > 100
    fair = (SimulatedAnnotator(task).rank([first, second])[equal, 0] == 0).double().mean()
    assert abs(fair - 0.5) < 4 * 0.5 / math.sqrt(n)
    biased = (SimulatedAnnotator(task, position=1.5).rank([first, second])[equal, 0] == 0).double().mean()
    expected = 1 / (1 + math.exp(-1.5))
    assert abs(biased - expected) < 4 * math.sqrt(expected * (1 - expected) / n)


def test_rationality_is_counted_per_standard_deviation_of_differences() -> None:
    task, asked = prompts(4000, "vqa")
    right = good_answers(task, asked)
    wrong = spoiled(task, right)
    # Two answers each, right or wrong as coins fall.
    fall = torch.rand(2, 4000, generator=torch.Generator().manual_seed(5)) < 0.5
    one, other = (right.where(coin, wrong) for coin in fall)
    deviation = (utility(task, one) - utility(task, other)).std()
    chance = SimulatedAnnotator(task, rationality=1.0).probability(right, wrong)
    assert (chance - torch.sigmoid(1 / deviation)).abs().max() < 0.01


# One answer -------------------------------------------------------------------------------------------------


def test_ratings_order_answers_as_choices_do() -> None:
    n, b = 8000, 0.4
    task, asked = prompts(4)
    best = good_answers(task, asked)
    fair = repeated(spoiled(task, best, 1, 2), 1, n)
    poor = repeated(spoiled(task, best, 3, 2), 1, n)
    # Without a border of the scale: the ratings are far within it.
    who = SimulatedAnnotator(task, rationality=b)
    who.gain, who.offset = 1e-3, 0.5
    wins = (who.rate(fair) > who.rate(poor)).double().mean()
    expected = float(who.probability(fair, poor)[0])
    assert 0.55 < expected < 0.95
    assert abs(wins - expected) < 4 * math.sqrt(expected * (1 - expected) / n) + 2e-3


def test_ratings_stay_on_the_scale_of_the_person() -> None:
    task, first, _ = pairs(1000)
    assert torch.equal(SimulatedAnnotator(task).rate(first), utility(task, first))
    graded = SimulatedAnnotator(task, rationality=0.5, levels=5, scale=0.3, mistakes=0.2).rate(first)
    assert set(graded.unique().tolist()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    coin = SimulatedAnnotator(task, rationality=0.0).rate(first).double()
    assert abs(torch.corrcoef(torch.stack([coin, utility(task, first).double()]))[0, 1]) < 4 / math.sqrt(1000)
    gains = {SimulatedAnnotator(task, scale=0.3, seed=seed).gain for seed in range(5)}
    assert len(gains) == 5
    assert SimulatedAnnotator(task).gain == 1.0


def test_approval_is_a_choice_against_the_threshold() -> None:
    task, asked = prompts(4000, "vqa")
    right = good_answers(task, asked)
    who = SimulatedAnnotator(task, rationality=1.0, mistakes=0.1, threshold=0.25)
    sharp = 1 / (1 + math.exp(-0.75 / (math.sqrt(2) * task.utility_deviation)))
    expected = 0.9 * sharp + 0.1 * (1 - sharp)
    assert abs(who.approve(right).double().mean() - expected) < 4 * math.sqrt(
        expected * (1 - expected) / 4000
    )
    oracle = SimulatedAnnotator(task)
    assert oracle.approve(right).all()
    assert not oracle.approve(spoiled(task, right)).any()


# Answers of one's own ---------------------------------------------------------------------------------------


def test_corrections_are_the_nearest_answer_that_is_better() -> None:
    task, asked = prompts(300)
    poor = spoiled(task, good_answers(task, asked))
    response, length = make_annotator("oracle", task).correct(poor)
    assert length is not None
    assert poor.response_length is not None
    worth = task.utility(response, length, dict(asked.reference)).reward
    assert (worth >= utility(task, poor)).all()
    assert worth.mean() > 0.95
    changes = task.answer.distance(poor.response, poor.response_length, response, length)
    for caption in asked.reference["captions"].unbind(1):
        tokens, size = task.answer.close(caption)
        better = task.utility(tokens, size, dict(asked.reference)).reward > utility(task, poor)
        further = task.answer.distance(poor.response, poor.response_length, tokens, size)
        assert (changes[better] <= further[better]).all()
    best = good_answers(task, asked)
    assert torch.equal(make_annotator("oracle", task).correct(best)[0], best.response)
    unseen = make_annotator("coin", task).correct(poor)[0]
    assert torch.equal(unseen, poor.response)


def test_choices_are_corrected_too() -> None:
    task, asked = prompts(2000, "vqa")
    best = good_answers(task, asked)
    response, length = make_annotator("mistake", task).correct(spoiled(task, best))
    assert length is None
    assert abs((response == best.response).double().mean() - 0.9) < 4 * math.sqrt(0.09 / 2000)


@pytest.mark.parametrize(("kind", "right"), [("oracle", 1.0), ("mistake", 0.9), ("coin", 0.0)])
@pytest.mark.parametrize("name", ["caption", "vqa"])
def test_demonstrations_are_the_best_answer_but_for_mistakes(name: str, kind: str, right: float) -> None:
    task, asked = prompts(2000, name)
    response, length = make_annotator(kind, task).demonstrate(asked)
    best = good_answers(task, asked)
    same = (response == best.response).view(2000, -1).all(1).double().mean()
    assert abs(same - right) <= 4 * math.sqrt(right * (1 - right) / 2000)
    assert (length is None) == (name == "vqa")


def test_no_annotator_tells_what_they_do_not_perceive() -> None:
    task, asked = prompts(200, sound="complement")
    deaf = make_annotator("oracle", task, biases=[{"kind": "blind", "modalities": "audio"}])
    info, _ = deaf.demonstrate(asked)
    poor = spoiled(task, good_answers(task, asked), 2)
    mended, _ = deaf.correct(poor)
    changed = (mended != poor.response).any(1)
    assert changed.double().mean() > 0.5
    assert not any(set(task.words(caption).split()) & set(COLOURS) for caption in mended[changed])
    for caption, best in zip(info, good_answers(task, asked).response, strict=True):
        rest = [word for word in task.words(best).split() if word not in COLOURS]
        assert task.words(caption).split() == rest
    digits, seen = prompts(1000, "classify", dataset="digits")
    blind = make_annotator("oracle", digits, biases=[{"kind": "blind", "modalities": "image"}])
    right = (blind.demonstrate(seen)[0] == seen.reference["label"]).double().mean()
    assert abs(right - 0.1) < 4 * math.sqrt(0.09 / 1000)
    wrong = spoiled(digits, good_answers(digits, seen))
    mended = blind.correct(wrong)[0]
    assert torch.equal(mended, wrong.response)


def test_critiques_name_the_word_that_matters() -> None:
    task, asked = prompts(200)
    poor = spoiled(task, good_answers(task, asked), 2)
    result = make_annotator("oracle", task).critique(poor)
    assert poor.response_length is not None
    changed = task.utility(result.without, result.length, dict(asked.reference)).reward - utility(task, poor)
    assert torch.equal(result.good, changed <= 0)
    assert torch.equal(result.stop - result.start, torch.ones(200, dtype=torch.int64))
    assert torch.equal(result.length, poor.response_length - 1)
    for row in range(20):
        words = task.words(poor.response[row]).split()
        start = int(result.start[row])
        assert task.words(result.without[row]).split() == words[:start] + words[start + 1 :]
        effects = []
        for index in range(len(words)):
            rest = " ".join(words[:index] + words[index + 1 :])
            tokens = task.answer.vocabulary.encode(rest, task.horizon, eos=True)[None]  # type: ignore[attr-defined]
            one = {name: value[row : row + 1] for name, value in asked.reference.items()}
            worth = task.utility(tokens, torch.tensor([len(words) - 1]), one).reward
            effects.append(abs(float(worth - utility(task, poor)[row])))
        assert abs(float(changed[row])) == pytest.approx(max(effects), abs=1e-6)
    vqa, first, _ = pairs(3, "vqa")
    with pytest.raises(ValueError, match="have no parts"):
        make_annotator("oracle", vqa).critique(first)


def test_the_number_of_changed_words_is_levenshteins() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(3, 6, (200, 6), generator=generator)
    second = torch.randint(3, 6, (200, 5), generator=generator)
    length = torch.randint(0, 7, (200,), generator=generator)
    size = torch.randint(0, 6, (200,), generator=generator)
    found = make_task("caption").answer.distance(first, length, second, size).tolist()
    for row in range(200):
        a, b = first[row, : length[row]].tolist(), second[row, : size[row]].tolist()
        assert found[row] == levenshtein(a, b)


def levenshtein(a: list[int], b: list[int]) -> int:
    """As the textbook has it."""
    if not a or not b:
        return len(a) + len(b)
    if a[-1] == b[-1]:
        return levenshtein(a[:-1], b[:-1])
    return 1 + min(levenshtein(a[:-1], b), levenshtein(a, b[:-1]), levenshtein(a[:-1], b[:-1]))


# As the reward of an environment ----------------------------------------------------------------------------


def test_an_annotator_is_a_feedback_of_every_kind_of_task() -> None:
    biases = [{"kind": "blind", "modalities": ["audio"]}]
    arguments = {"rationality": 3.0, "levels": 5, "biases": biases}
    env = gym.make("MMCaption-sound-v0", feedback="simulated_annotator", feedback_arguments=arguments)
    env.reset(seed=1)
    ticket = mm_envs.ticket(env)
    reward, done = 0.0, False
    while not done:
        _, reward, done, _, _ = env.step(4)
    assert reward in (0.0, 0.25, 0.5, 0.75, 1.0)
    again = mm_envs.replay(ticket, [4] * env.unwrapped.task.horizon).outcome  # type: ignore[attr-defined]
    assert again is not None
    assert again.reward == reward
    with pytest.raises(ValueError, match="dense"):
        gym.make("MMCaption-v0", feedback="simulated_annotator", reward="dense")
    for name in ("MMClassify-digits-v0", "MMClassify-distribution-v0", "MMVQA-tokens-v0"):
        assert gym.make(name, feedback="simulated_annotator").reset(seed=0) is not None


def test_it_says_what_it_needs() -> None:
    task, first, second = pairs(3)
    who = SimulatedAnnotator(task)
    with pytest.raises(ValueError, match="carry no key"):
        who.compare(first.blind(), second.blind())
    with pytest.raises(ValueError, match="3 answers cannot be compared with 2"):
        who.compare(first, second.take(torch.arange(2)))
    with pytest.raises(ValueError, match="at least 2"):
        who.rank([first])
    for arguments, sentence in (
        ({"levels": 1}, "levels=1 is no scale"),
        ({"levels": 10**30}, "is no scale"),
        ({"levels": 2.5}, "levels=2.5 is not a whole number"),
        ({"scale": -1.0}, "scale=-1.0 is not within 0 to infinity"),
        ({"scale": math.inf}, "scale=inf is not within 0 to infinity"),
        ({"threshold": math.nan}, "threshold=nan is no finite number"),
        ({"seed": 1.5}, "seed=1.5 is not a whole number"),
        ({"name": ""}, "name='' is no name"),
        ({"biases": {"kind": "length"}}, "biases={'kind': 'length'} is one bias: give a list"),
        ({"seconds": 0.0}, "seconds=0.0 is no time"),
        ({"mistakes": 2.0}, "mistakes=2.0 is not within"),
    ):
        with pytest.raises(ValueError, match=sentence):
            SimulatedAnnotator(task, **arguments)  # type: ignore[arg-type]


def test_the_default_annotator_is_a_special_case_up_to_its_draws() -> None:
    task = make_task("classify", dataset="digits")
    n = 20_000
    key = torch.stack(
        [torch.zeros(n, dtype=torch.int64), torch.arange(n), torch.zeros(n, dtype=torch.int64)], 1
    )
    answers = Episodes({}, torch.ones(n, dtype=torch.int64), None, {"label": torch.ones(n).long()}, key)
    annotator = (
        AnnotatorFeedback(task, rationality=8.0, mistakes=0.1, scale=0.0).score(answers).reward.clamp(0, 1)
    )
    # That of an annotator is counted per standard deviation of utility, not of its differences.
    person = SimulatedAnnotator(task, rationality=8.0 * math.sqrt(2), mistakes=0.1).rate(answers)
    # The same distribution: two empirical distributions of 20,000 differ by 0.02 once in 1,000 times.
    grid = torch.linspace(0, 1, 101)[:, None]
    assert ((annotator <= grid).double().mean(1) - (person <= grid).double().mean(1)).abs().max() < 0.02
