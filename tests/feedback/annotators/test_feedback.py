"""The simulated annotator is the person that its formula describes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from feedback.annotators import AnnotatorFeedback
from mm_envs.episodes import Episodes
from mm_envs.tasks import make_task

N = 40_000
TASK = make_task("classify", dataset="digits")


def episodes(right: torch.Tensor, seed: int = 0) -> Episodes:
    """Answers of which those in ``right`` are right."""
    label = torch.zeros(len(right), dtype=torch.int64)
    rows = torch.arange(len(right))
    key = torch.stack([torch.full_like(rows, seed), rows, rows % 7], dim=1)
    return Episodes({}, 1 - right.to(torch.int64), None, {"label": label}, key)


def test_the_better_answer_wins_as_often_as_boltzmann_says() -> None:
    half = torch.arange(N) < N // 2
    for rationality in (0.5, 2.0):
        annotator = AnnotatorFeedback(TASK, rationality=rationality, mistakes=0.0)
        rating = annotator.score(episodes(half)).reward
        wins = (rating[: N // 2] > rating[N // 2 :]).double().mean()
        expected = 1 / (1 + math.exp(-rationality / TASK.utility_deviation))
        # Four standard errors: a fair draw fails once in 16,000 times; the seed is fixed.
        assert abs(wins - expected) < 4 * math.sqrt(expected * (1 - expected) / (N // 2))


def test_mistakes_are_as_frequent_as_asked() -> None:
    annotator = AnnotatorFeedback(TASK, rationality=math.inf, mistakes=0.2, scale=0.0)
    reward = annotator.score(episodes(torch.ones(N, dtype=torch.bool))).reward
    assert set(reward.tolist()) == {0.0, 1.0}
    assert abs((1 - reward).double().mean() - 0.2) < 4 * math.sqrt(0.16 / N)


def test_noise_is_centred_and_on_the_scale_of_the_annotator() -> None:
    annotator = AnnotatorFeedback(TASK, rationality=1.0, mistakes=0.0, scale=0.5, seed=3)
    assert annotator.gain != 1.0
    assert annotator.offset != 0.0
    reward = annotator.score(episodes(torch.ones(N, dtype=torch.bool))).reward.double()
    deviation = math.pi / math.sqrt(6) * TASK.utility_deviation * annotator.gain
    assert abs(reward.mean() - (annotator.gain + annotator.offset)) < 4 * deviation / math.sqrt(N)
    assert abs(reward.std() / deviation - 1) < 0.03


def test_an_annotator_without_noise_is_the_truth() -> None:
    annotator = AnnotatorFeedback(TASK, rationality=math.inf, mistakes=0.0, scale=0.0)
    right = torch.arange(10) % 2 == 0
    assert torch.equal(annotator.score(episodes(right)).reward, right.float())


def test_noise_follows_the_episode_and_the_annotator_not_the_batch() -> None:
    annotator = AnnotatorFeedback(TASK)
    batch = episodes(torch.ones(50, dtype=torch.bool))
    together = annotator.score(batch).reward
    for i in (0, 17, 49):
        one = replace(
            batch,
            response=batch.response[i : i + 1],
            reference={"label": batch.reference["label"][i : i + 1]},
            key=batch.key[i : i + 1],
        )
        assert annotator.score(one).reward[0] == together[i]
    assert torch.equal(together, AnnotatorFeedback(TASK).score(batch).reward)
    assert not torch.equal(
        together, annotator.score(episodes(torch.ones(50, dtype=torch.bool), seed=1)).reward
    )
    assert not torch.equal(together, AnnotatorFeedback(TASK, seed=1).score(batch).reward)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rationality": 0.0}, "rationality=0.0 is not above 0"),
        ({"rationality": math.nan}, "rationality=nan is not above 0"),
        ({"mistakes": 0.6}, "mistakes=0.6 is not within 0 to 0.5"),
        ({"scale": -1.0}, "scale=-1.0 is below 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        AnnotatorFeedback(TASK, **arguments)


def test_it_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="carry no key"):
        AnnotatorFeedback(TASK).score(episodes(torch.ones(2, dtype=torch.bool)).blind())
