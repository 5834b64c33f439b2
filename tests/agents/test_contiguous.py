"""Outputs do not depend on whether gradients are wanted, on any processor.

For an input of three dimensions that is not contiguous torch's linear layer picks its kernel by whether the
weight requires a gradient. Without AVX-512 the kernels differ in the last bit, so that a saved policy would
differ from the one that was trained. Whatever the processor, no linear layer is given such an input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from every_task import EVERY_TASK, hashes, prompts_of, task_of
from torch import Tensor, nn

from agents.policy import ResponsePolicy
from feedback.preferences import Answers
from feedback.reward_models import ModelConfig, RewardModel
from mm_envs.tasks.play import hearing

N = 4


@contextmanager
def watched(model: nn.Module) -> Iterator[list[str]]:
    """The names of linear layers that were given an input of three dimensions that is not contiguous."""
    found: list[str] = []

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].ndim > 2 and not inputs[0].is_contiguous():
                found.append(f"{name} of {tuple(inputs[0].shape)}, strides {inputs[0].stride()}")

        return before

    layers = {name: one for name, one in model.named_modules() if isinstance(one, nn.Linear)}
    assert layers
    hooks = [one.register_forward_pre_hook(hook(name)) for name, one in layers.items()]
    yield found
    for one in hooks:
        one.remove()


def outputs_of_policy(policy: ResponsePolicy, name: str) -> dict[str, Tensor]:
    task, prompts = task_of(name), prompts_of(name, N)
    hear = hearing(task, prompts)
    encoded = policy.encode(prompts.context)
    response, length = policy.sample(encoded.detach(), hashes(N), hear=hear)
    turns = None if hear is None else hear(response)
    log_probs = policy.step_log_probs(encoded, response, length, turns)
    return {"encoded": encoded, "response": response, "log_probs": log_probs}


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
    with watched(policy) as found:
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
    with watched(model) as found:
        wanted = outputs_of_model(model, name)
        model.requires_grad_(False)
        unwanted = outputs_of_model(model, name)
    assert not found
    for key, value in wanted.items():
        assert torch.equal(value.detach(), unwanted[key]), key
