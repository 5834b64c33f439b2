"""Retrieval, grounding and guessing are learned from good answers, and from comparisons of answers."""

from __future__ import annotations

import pytest
import torch

from agents.policy import ResponsePolicy
from agents.sft import sft
from feedback.active_learning import ask, draw_pairs, held_out_accuracy, labelled
from feedback.annotators import SimulatedAnnotator
from feedback.collection import draw_prompts
from feedback.responses import PairAccuracy, RightAndWrong
from feedback.reward_models import FitConfig, fit
from mm_envs.random import fold, stream
from mm_envs.tasks import CONFIGURATIONS, Task, make_task
from mm_envs.tasks.play import answered, hearing

pytestmark = pytest.mark.slow


def utility(policy: ResponsePolicy, name: str, n: int = 1000) -> float:
    """The mean utility of the likeliest answers on validation items."""
    prompts, tickets = draw_prompts(name, n, "validation", seed=1)
    hear = hearing(tickets.task, prompts)
    hashes = fold(stream(0, "test"), torch.arange(n))
    response, length = policy.sample(policy.encode(prompts.context), hashes, 0, hear)
    episodes = answered(tickets.task, prompts, response, length)
    return float(tickets.task.utility(episodes.response, length, prompts.reference).reward.mean())


def accuracy(policy: ResponsePolicy, task: Task, name: str, n: int) -> PairAccuracy:
    """That of a reward model on pairs about validation items; it is fitted to the labels of an oracle."""
    sampler, oracle = RightAndWrong(task), SimulatedAnnotator(task)
    pairs, test = (draw_pairs(name, sampler, k, split, 1) for k, split in ((n, "train"), (600, "validation")))
    labels = labelled(pairs, ask(oracle, pairs, 0, torch.arange(len(pairs))), (oracle.name,))
    # The context encoder of the policy stays as it is, so that contexts are encoded once.
    fitted = fit(labels, task, FitConfig(members=1, epochs=10, freeze="context"), initial=policy)
    return held_out_accuracy(fitted.model, test, task)


@pytest.mark.parametrize(
    ("name", "epochs", "items", "pairs", "blind", "least", "least_accuracy"),
    [
        ("MMRetrieve-v0", 2, 6144, 600, 0.125, 0.56, 0.8),
        ("MMGround-v0", 3, 8192, 600, 0.12, 0.3, 0.7),
        ("MMGuess-v0", 5, 8192, 3000, 0.04, 0.2, 0.75),
    ],
)
def test_a_new_task_is_learned(
    name: str, epochs: int, items: int, pairs: int, blind: float, least: float, least_accuracy: float
) -> None:
    """Utility and pair accuracy when it was written: 0.90 and 0.97, 0.44 and 0.81, 0.44 and 0.96."""
    task = make_task(**CONFIGURATIONS[name])
    assert utility(ResponsePolicy(task, 128, 128), name) < blind + 0.08
    policy = sft(task, epochs=epochs, items=items, features=128, learning_rate=2e-3)
    assert utility(policy, name) > least
    assert accuracy(policy, task, name, pairs).low > least_accuracy
