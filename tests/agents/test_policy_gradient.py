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
from agents.learning import learn
from agents.losses import leave_one_out
from agents.policy import ResponsePolicy
from agents.policy_gradient import PGSettings, PolicyGradient
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement
from mm_envs.tasks import Task, make_task


class Given:
    """Feedback that is a function of the episodes."""

    sees_reference = deterministic = True
    scores_prefix = False

    def __init__(self, function: Callable[[Episodes], Tensor]) -> None:
        self._function = function

    def score(self, episodes: Episodes) -> Judgement:
        assert not torch.is_grad_enabled()
        return Judgement(self._function(episodes))


def trained(
    policy: ResponsePolicy, task: Task, reward: Given, updates: int, prompts: int, settings: PGSettings
) -> PolicyGradient:
    """Trains a policy in place."""
    rows = prompts * settings.answers
    envs = MultimodalVectorEnv(rows, task, feedback=reward, group_size=settings.answers)
    trainer = PolicyGradient("pg", envs, settings, model=policy)
    learn(trainer, updates * rows, window=rows)
    return trainer


def of_the_answer(table: Tensor) -> Given:
    """A reward that does not depend on the picture."""
    return Given(lambda episodes: table[episodes.response])


@given(st.lists(st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_each_answer_is_compared_with_the_mean_of_the_others(rewards: list[list[float]]) -> None:
    given = torch.tensor(rewards, dtype=torch.float64)
    others = torch.stack([given[:, [j for j in range(3) if j != i]].mean(1) for i in range(3)], 1)
    assert torch.allclose(leave_one_out(given), given - others)
    assert torch.allclose(leave_one_out(given), leave_one_out(given + 5))


def test_one_answer_has_no_advantage() -> None:
    for refused in (lambda: leave_one_out(torch.zeros(3, 1)), lambda: PGSettings(answers=1)):
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
            return policy.head.logits(policy.encode(context)).log_softmax(1)

    best = (probabilities() + table / beta).log_softmax(1)

    def divergence() -> float:
        return float((best.exp() * (best - probabilities())).sum(1).mean())

    before = divergence()
    settings = PGSettings(answers=16, learning_rate=1e-2, kl=beta)
    points = trained(policy, task, of_the_answer(table), 120, 16, settings).curve.points
    assert points[0].metrics["kl"] == pytest.approx(0, abs=1e-6)
    assert before > 0.1
    assert divergence() < 0.1 * before


def test_the_reward_is_learned_and_the_reference_stays() -> None:
    task = make_task("vqa", answer="tokens", items=256)
    policy = ResponsePolicy(task, features=16, hidden=16)

    def short(episodes: Episodes) -> Tensor:
        assert episodes.response_length is not None
        return -episodes.response_length.float()

    trainer = trained(policy, task, Given(short), 60, 16, PGSettings(learning_rate=1e-2, kl=0))
    assert trainer.curve.points[0].reward < -2
    assert trainer.curve.points[-1].reward > -0.5
    fresh = ResponsePolicy(task, features=16, hidden=16).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in trainer.reference.state_dict().items())


def test_rows_that_are_no_groups_are_refused() -> None:
    envs = MultimodalVectorEnv(8, "classify", dataset="digits")
    with pytest.raises(ValueError, match="group_size=1 of the environment does not fit answers=4: make it"):
        learn(PolicyGradient("pg", envs), 8)


@pytest.mark.parametrize("name", KIND_TASKS)
def test_answers_of_every_kind_are_rewarded(name: str) -> None:
    """The first update is made where policy and reference agree; conversations are heard."""
    task = task_of(name)
    policy = ResponsePolicy(task, features=16, hidden=16)
    before = copy.deepcopy(policy.state_dict())

    def score(episodes: Episodes) -> Tensor:
        # The truth, and a little for the form of the answer: an untrained policy rarely hits the truth.
        assert episodes.truth is not None
        form = episodes.response.reshape(len(episodes), -1).to(torch.float32).mean(1)
        return episodes.truth.reward + 0.1 * form

    points = trained(policy, task, Given(score), 2, 4, PGSettings(answers=3)).curve.points
    assert points[0].metrics["kl"] == pytest.approx(0, abs=1e-4)
    numbers = [value for point in points for value in (point.reward, point.metrics["kl"])]
    assert torch.tensor(numbers).isfinite().all()
    head = [key for key in before if key.startswith("head.")]
    assert any(not torch.equal(before[key], policy.state_dict()[key]) for key in head)
