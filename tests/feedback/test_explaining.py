"""Attention of reward models: the mean of that of the members, for choices and for answers in words."""

from __future__ import annotations

import pytest
import torch

from agents.explaining.attention import attention_of
from agents.explaining.page import page
from agents.policy import ResponsePolicy
from feedback.explaining import attention_of_model, explain_reward_model
from feedback.reward_models import ModelConfig
from feedback.reward_models.ensemble import Ensemble
from feedback.reward_models.model import RewardModel
from mm_envs.tasks import make_task
from mm_envs.tasks.task import Task


def ensemble(answer: str, members: int, first: int = 0) -> tuple[Ensemble, Task]:
    task = make_task("vqa", items=64, answer=answer)
    config = ModelConfig(features=16, width=8, hidden=16, fusion="word_patch")
    return Ensemble([RewardModel(task, config, seed=first + seed) for seed in range(members)]), task


@pytest.mark.parametrize(("answer", "layers"), [("choice", {"word"}), ("tokens", {"word", "decoder"})])
def test_weights_are_means_over_members(answer: str, layers: set[str]) -> None:
    both, task = ensemble(answer, 2)
    context = task.batch(torch.arange(3), task.context)
    reference = task.batch(torch.arange(3), task.reference)
    response, length = task.answer.finish(task.oracle(reference))
    found = attention_of_model(both, context, response, length)
    alone = [attention_of_model(ensemble(answer, 1, seed)[0], context, response, length) for seed in range(2)]
    assert {one.layer for one in found} == layers
    for index, one in enumerate(found):
        mean = (alone[0][index].weights + alone[1][index].weights) / 2
        assert torch.allclose(one.weights, mean, atol=1e-6)
        if one.layer == "word":
            there = torch.tensor([[bool(word) for word in words] for words in one.query_words])
            assert torch.allclose(one.mass[there], torch.ones(int(there.sum())), atol=1e-5)


def test_the_page_has_attention() -> None:
    model, task = ensemble("tokens", 2)
    found = explain_reward_model(model, task, torch.arange(8), examples=1)
    html = page(found, "Explanation", "model")
    assert "attention, word: question to image" in html
    assert "attention, decoder: the answer to image" in html


def test_a_model_that_starts_from_a_policy_has_its_attention() -> None:
    model, task = ensemble("choice", 1)
    policy = ResponsePolicy(task, 16, 16, seed=5, fusion="word_patch")
    model.members[0].start_from(policy)  # type: ignore[operator]
    context = task.batch(torch.arange(3), task.context)
    ours = attention_of_model(model, context, torch.zeros(3, dtype=torch.int64))
    assert torch.equal(ours[0].weights, attention_of(policy, context)[0].weights)
