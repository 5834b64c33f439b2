"""Trainers in a real environment find the optimum of the KL-regularised reward, which is known.

With the price beta of a nat away from the reference it is p* = p_ref exp(r / beta), normalised; see
``closed_form``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pytest
import torch
from closed_form import divergence, optimum
from torch import Tensor

from agents import on_policy_settings
from agents.heads.choice import ChoiceHead
from agents.learning import learn
from agents.policy import ResponsePolicy
from agents.trainers import trainer_class
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement
from mm_envs.tasks import Task, make_task

BETA, CONTEXTS, UPDATES = 0.5, 16, 240
# The loss of a policy gradient without what biases its optimum.
PLAIN = {"entropy": 0.0, "weight_decay": 0.0, "word_loss": 0.0, "learning_rate": 2e-2, "kl": BETA}
LOSS = {**PLAIN, "kl_in": "loss"}

RIGHT: dict[str, tuple[str, dict[str, Any]]] = {
    "RLOO, k1 in the reward": ("rloo", {**PLAIN, "answers": 64}),
    "mean baseline, k1 in the reward": ("rloo", {**PLAIN, "answers": 64, "baseline": "mean"}),
    "RLOO, exact in the loss": ("rloo", {**LOSS, "answers": 128, "kl_estimator": "exact"}),
    "RLOO, k2 in the loss": ("rloo", {**LOSS, "answers": 64, "kl_estimator": "k2"}),
    "RLOO, k3+ in the loss": ("rloo", {**LOSS, "answers": 64, "kl_estimator": "k3+"}),
    "GRPO, k1 in the reward": ("grpo", {**PLAIN, "answers": 64}),
    "PPO, k1 in the reward": (
        "ppo",
        {**PLAIN, "answers": 64, "minibatches": 2, "epochs": 1, "value_warmup": 5},
    ),
    "DPO, labels of Bradley and Terry": (
        "dpo",
        {
            "learning_rate": 3e-2,
            "weight_decay": 0.0,
            "word_loss": 0.0,
            "beta": BETA,
            "rationality": 1.0,
            "answers": 12,
        },
        3 * UPDATES,
    ),
}
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "RLOO, k1 in the loss": ("rloo", {**LOSS, "answers": 64, "kl_estimator": "k1"}),
    "RLOO, k3 in the loss": ("rloo", {**LOSS, "answers": 64, "kl_estimator": "k3"}),
    "GRPO, k3 in the loss": ("grpo", {**LOSS, "answers": 64, "kl_estimator": "k3"}),
}


class Metric:
    """A reward for each context and choice, known to the test."""

    sees_reference, deterministic, scores_prefix = False, True, False

    def __init__(self, task: Task) -> None:
        choices = len(task.answer.names)  # type: ignore[attr-defined]
        self.table = 1.5 * torch.randn(32, choices, generator=torch.Generator().manual_seed(1))

    def of(self, context: Mapping[str, Tensor]) -> Tensor:
        """The rewards of all choices, (n, choices)."""
        return self.table[(context["text"] * torch.tensor([1, 7])).sum(1) % len(self.table)]

    def score(self, episodes: Episodes) -> Judgement:
        return Judgement(self.of(episodes.context).gather(1, episodes.response[:, None])[:, 0])


@lru_cache
def task() -> Task:
    """Objects that are named by a text, one step: few different contexts, which need no convolutions."""
    return make_task("classify", dataset="scenes", items=8, inputs=("text",))


def contexts() -> Mapping[str, Tensor]:
    """Every different context once."""
    texts = task().batch(torch.arange(8), ["text", "text_length"])
    rows = torch.cat([texts["text"], texts["text_length"]], 1).unique(dim=0)
    return {"text": rows[:, :2], "text_length": rows[:, 2:]}


def log_probs(policy: ResponsePolicy) -> Tensor:
    """Of all choices in every context."""
    assert isinstance(policy.head, ChoiceHead)
    with torch.no_grad():
        return policy.head.all_log_probs(policy.encode(contexts()))


def far_from_optimum(algo: str, given: Mapping[str, Any], updates: int = UPDATES) -> tuple[float, float]:
    """KL(p* || p) before and after a training whose reference is not uniform."""
    feedback = Metric(task())
    policy = ResponsePolicy(task(), features=32, hidden=8)
    with torch.no_grad():
        bias: Any = policy.head.out.bias
        bias.copy_(torch.randn(bias.shape, generator=torch.Generator().manual_seed(2)))
    reference = log_probs(policy)
    best = optimum(feedback.of(contexts()), reference, BETA)
    envs = MultimodalVectorEnv(CONTEXTS, task(), feedback=feedback)
    settings = trainer_class(algo).Settings(**given)
    kind: Any = trainer_class(algo)
    trainer = kind(algo, envs, settings, model=policy)
    learn(trainer, updates * CONTEXTS * settings.answers)
    return divergence(best, reference), divergence(best, log_probs(policy))


QUICK, *SLOW = RIGHT


@pytest.mark.parametrize("name", [QUICK, *[pytest.param(name, marks=pytest.mark.slow) for name in SLOW]])
def test_right_estimators_find_the_optimum(name: str) -> None:
    before, after = far_from_optimum(*RIGHT[name])
    assert before > 1
    assert after < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_wrong_estimators_miss_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are refused, which is bypassed here; that is what the refusal prevents."""
    algo, given = WRONG[name]
    with pytest.raises(ValueError, match="of the KL in the loss: its"):
        trainer_class(algo).Settings(**given)
    monkeypatch.setattr(on_policy_settings, "check_kl", lambda *arguments: None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "normalisation='std' scales the rewards")
        assert far_from_optimum(algo, given)[1] > 0.1


@pytest.mark.slow
def test_sure_labels_have_no_such_optimum() -> None:
    """DPO on labels that never disagree moves on past the optimum of the Bradley-Terry model."""
    algo, given, *_ = RIGHT["DPO, labels of Bradley and Terry"]
    assert far_from_optimum(algo, {**given, "rationality": None})[1] > 0.1
