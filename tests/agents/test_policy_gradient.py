"""Policy gradients on answers: the advantage, and the optimum that is known in closed form."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from every_task import KIND_TASKS, task_of
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agents.heads.choice import ChoiceHead
from agents.policy import ResponsePolicy
from agents.policy_gradient import GradientConfig, leave_one_out, policy_gradient
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Prompts
from mm_envs.tasks import make_task

Rewarded = Callable[[Prompts, Tensor, "Tensor | None"], Tensor]


def of_the_answer(table: Tensor) -> Rewarded:
    """A reward that does not look at the picture."""
    return lambda prompts, response, length: table[response]


@given(st.lists(st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_each_answer_is_compared_with_the_mean_of_the_others(rewards: list[list[float]]) -> None:
    given = torch.tensor(rewards, dtype=torch.float64)
    others = torch.stack([given[:, [j for j in range(3) if j != i]].mean(1) for i in range(3)], 1)
    assert torch.allclose(leave_one_out(given), given - others)
    assert torch.allclose(leave_one_out(given), leave_one_out(given + 5))


def test_one_answer_is_compared_with_nothing() -> None:
    for refused in (lambda: leave_one_out(torch.zeros(3, 1)), lambda: GradientConfig(answers=1)):
        with pytest.raises(ValueError, match="answers=1 is below 2"):
            refused()


def test_the_regularised_optimum_is_the_reference_tilted_by_the_reward() -> None:
    """pi* is proportional to pi_ref exp(r / beta); the divergence KL(pi* || pi) falls to a fraction."""
    task, beta = make_task("classify", dataset="digits"), 0.5
    torch.manual_seed(0)
    table = torch.rand(10)
    policy = ResponsePolicy(task, features=16, hidden=16)
    envs = MultimodalVectorEnv(64, task, feedback="truth", split="test")
    envs.reset(seed=1)
    context = envs.prompts().context

    def probabilities() -> Tensor:
        with torch.no_grad():
            assert isinstance(policy.head, ChoiceHead)
            return policy.head.logits(policy.context(policy.encode(context))).log_softmax(1)

    best = (probabilities() + table / beta).log_softmax(1)

    def divergence() -> float:
        return float((best.exp() * (best - probabilities())).sum(1).mean())

    before = divergence()
    config = GradientConfig(steps=120, prompts=16, answers=16, learning_rate=1e-2, kl=beta)
    updates = policy_gradient(policy, task, of_the_answer(table), config)
    assert updates[0].kl == pytest.approx(0, abs=1e-6)
    assert before > 0.1
    assert divergence() < 0.1 * before


def test_the_reward_is_learned_and_the_reference_stays() -> None:
    task = make_task("vqa", answer="tokens", items=256)
    policy = ResponsePolicy(task, features=16, hidden=16)
    reference = copy.deepcopy(policy)

    def short(prompts: Prompts, response: Tensor, length: Tensor | None) -> Tensor:
        assert response.shape == (16, 4, 3)
        assert length is not None
        assert not torch.is_grad_enabled()
        return -length.float()

    config = GradientConfig(steps=60, prompts=16, learning_rate=1e-2, kl=0)
    updates = policy_gradient(policy, task, short, config, reference)
    assert updates[0].reward < -2
    assert updates[-1].reward > -0.5
    fresh = ResponsePolicy(task, features=16, hidden=16).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in reference.state_dict().items())


def test_the_same_seed_trains_the_same() -> None:
    task, states = make_task("classify", dataset="digits"), []
    for _ in range(2):
        policy = ResponsePolicy(task, features=8)
        policy_gradient(policy, task, of_the_answer(torch.arange(10.0)), GradientConfig(steps=2, prompts=4))
        states.append(policy.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("name", KIND_TASKS)
def test_answers_of_every_kind_are_rewarded(name: str) -> None:
    """The first update is made where policy and reference agree; conversations are heard."""
    task = task_of(name)
    policy = ResponsePolicy(task, features=16, hidden=16)
    before = copy.deepcopy(policy.state_dict())

    def reward(prompts: Prompts, response: Tensor, length: Tensor | None) -> Tensor:
        m, k = response.shape[:2]
        several = prompts.take(torch.arange(m).repeat_interleave(k))
        sizes = None if length is None else length.flatten()
        # The truth, and a little for the form of the answer: an untrained policy rarely hits the truth.
        worth = task.utility(response.flatten(0, 1), sizes, several.reference).reward.view(m, k)
        return worth + 0.1 * response.view(m, k, -1).to(torch.float32).mean(2)

    updates = policy_gradient(policy, task, reward, GradientConfig(steps=2, prompts=4, answers=3))
    assert updates[0].kl == pytest.approx(0, abs=1e-4)
    assert all(torch.tensor([one.reward, one.kl]).isfinite().all() for one in updates)
    head = [key for key in before if key.startswith("head.")]
    assert any(not torch.equal(before[key], policy.state_dict()[key]) for key in head)
