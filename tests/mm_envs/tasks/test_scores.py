"""The policies that need no learning: scored without an episode as in episodes."""

from __future__ import annotations

import gymnasium as gym
import pytest
import torch

from agents.baselines import NAMES, baseline_policy
from agents.evaluate import evaluate
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.tasks import make_task
from mm_envs.tasks.scores import BASELINES, Baselines, Score, baseline_scores
from mm_envs.tokenizers import EOS

IDS = ("MMClassify-v0", "MMClassify-distribution-v0", "MMCaption-v0", "MMVQA-v0", "MMVQA-tokens-v0")


def _envs(name: str, rows: int) -> MultimodalVectorEnv:
    envs = gym.make_vec(name, num_envs=rows, feedback="truth", split="test").unwrapped
    assert isinstance(envs, MultimodalVectorEnv)
    return envs


@pytest.mark.parametrize("name", IDS)
def test_scores_are_those_of_episodes(name: str) -> None:
    scores = baseline_scores(_envs(name, 1).task, items=2000, split="test", fit=1000)
    for policy in BASELINES:
        envs = _envs(name, 64)
        played = evaluate(baseline_policy(envs, policy), envs, 640)
        deviation = float(played.utility.std()) / 640**0.5 + (scores[policy].high - scores[policy].low) / 4
        assert abs(float(played.utility.mean()) - scores[policy].mean) < 4 * deviation + 0.02, policy


@pytest.mark.parametrize("name", ["MMCaption-v0", "MMVQA-tokens-v0"])
def test_known_answers_are_written_with_their_end(name: str) -> None:
    baselines = Baselines(_envs(name, 1).task, fit=32)
    _, reference = baselines.fields(torch.arange(20))
    for response in (baselines.oracle(reference), baselines.blind({}, 20) if not baselines.visible else None):
        if response is not None:
            assert response.shape == (20, baselines.task.horizon)
            assert bool((response == EOS).any(1).all())


def test_what_follows_the_end_does_not_count() -> None:
    baselines = Baselines(make_task("caption"))
    _, reference = baselines.fields(torch.arange(50))
    answer = baselines.oracle(reference)
    after = (answer == EOS).cumsum(1) - (answer == EOS).long() > 0
    babble = answer.masked_fill(after, 5)
    assert not torch.equal(babble, answer)
    assert torch.equal(baselines.utility(babble, reference), baselines.utility(answer, reference))


def test_scores_follow_their_seed() -> None:
    task = make_task("classify", dataset="digits")
    first = baseline_scores(task, items=50, seed=1)
    assert first == baseline_scores(task, items=50, seed=1)
    assert first != baseline_scores(task, items=50, seed=2)
    assert list(first) == list(BASELINES)


def test_an_interval_lies_around_its_mean_and_shrinks() -> None:
    few, many = (Score.of(torch.arange(2.0).repeat(n)) for n in (10, 1000))
    assert few.low < few.mean < few.high
    assert many.high - many.low == pytest.approx((few.high - few.low) / 10)


def test_every_baseline_can_act() -> None:
    assert set(NAMES) == set(BASELINES)
    with pytest.raises(ValueError, match="is not one of"):
        baseline_policy(_envs("MMClassify-v0", 2), "clever")
