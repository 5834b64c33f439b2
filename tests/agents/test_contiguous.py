"""Outputs do not depend on whether gradients are wanted, on any processor: see ``linear_inputs``."""

from __future__ import annotations

import pytest
import torch
from every_task import EVERY_TASK, hashes, prompts_of, task_of
from linear_inputs import not_contiguous
from torch import Tensor, nn

from agents.policy import ResponsePolicy
from feedback.preferences import Answers
from feedback.reward_models import ModelConfig, RewardModel
from mm_envs.tasks.play import hearing

N = 4


@pytest.mark.parametrize("watched", ["linear layer", "attention"])
def test_an_input_that_is_not_contiguous_is_found(watched: str) -> None:
    turned = torch.zeros(6, 5, 16).transpose(0, 1)
    with not_contiguous() as found:
        if watched == "attention":
            nn.MultiheadAttention(16, 4)(turned[:1], turned, turned)
        else:
            nn.Linear(16, 4)(turned.contiguous())
            assert not found
            nn.Linear(16, 4)(turned)
    assert "(5, 6, 16) with strides (16, 80, 1)" in found


def outputs_of_policy(policy: ResponsePolicy, name: str) -> dict[str, Tensor]:
    task, prompts = task_of(name), prompts_of(name, N)
    hear = hearing(task, prompts)
    encoded = policy.encode(prompts.context)
    response, length = policy.sample(encoded.detach(), hashes(N), hear=hear)
    turns = None if hear is None else hear(response)
    log_probs = policy.step_log_probs(encoded, response, length, turns)
    return {**encoded.to_entries("encoded/"), "response": response, "log_probs": log_probs}


def outputs_of_model(model: RewardModel, name: str) -> dict[str, Tensor]:
    task, prompts = task_of(name), prompts_of(name, N)
    response, length = task.answer.finish(task.random(hashes(2 * N)))
    hear = hearing(task, prompts.take(torch.arange(N).repeat_interleave(2)))
    turns = None if hear is None else hear(response)
    context = torch.arange(N).repeat_interleave(2)
    answers = Answers(prompts.context, context, response, length, turns)
    return {"features": model.features(answers), "scores": model(answers)}


@pytest.mark.parametrize("name", EVERY_TASK)
def test_a_policy_is_the_same_with_and_without_gradients(name: str) -> None:
    policy = ResponsePolicy(task_of(name), features=32, hidden=32)
    with not_contiguous() as found:
        wanted = outputs_of_policy(policy, name)
        policy.requires_grad_(False)
        unwanted = outputs_of_policy(policy, name)
    assert not found
    for key, value in wanted.items():
        assert torch.equal(value.detach(), unwanted[key]), key
    with torch.no_grad():
        assert all(
            torch.equal(value, unwanted[key]) for key, value in outputs_of_policy(policy, name).items()
        )


@pytest.mark.parametrize("reader", ["auto", "encoder"])
@pytest.mark.parametrize("name", EVERY_TASK)
def test_a_reward_model_is_the_same_with_and_without_gradients(name: str, reader: str) -> None:
    model = RewardModel(task_of(name), ModelConfig(features=32, hidden=32, width=16, reader=reader))
    with not_contiguous() as found:
        wanted = outputs_of_model(model, name)
        model.requires_grad_(False)
        unwanted = outputs_of_model(model, name)
    assert not found
    for key, value in wanted.items():
        assert torch.equal(value.detach(), unwanted[key]), key
