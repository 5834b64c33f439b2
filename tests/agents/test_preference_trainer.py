"""Learning from preferences: labels, online and recorded pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from every_task import KIND_TASKS, task_of
from torch import Tensor

from agents.heads import PLAIN
from agents.heads.choice import ChoiceHead
from agents.learning import learn
from agents.losses import dpo
from agents.pair_learning import PairSettings, learn_pairs
from agents.pair_loss import LOSSES, PairBatch, PairLoss, log_ratios, mismatched_ratios
from agents.policy import ResponsePolicy
from agents.preference_trainer import DPO, PreferenceSettings, labels
from agents.rollout import Rollout, draw_rollout, log_probs
from feedback.policy_pairs import pair_batch
from feedback.preferences import FIRST, SECOND, SKIP, TIE, Answers, Labelled, Pairs
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.tasks import Task


def trainer_of(task: Task, contexts: int = 8, **settings: Any) -> DPO:
    """A small trainer."""
    envs = MultimodalVectorEnv(contexts, task, feedback="truth")
    return DPO("dpo", envs, PreferenceSettings(**settings), {"features": 16, "hidden": 16})


def rollout_of(policy: ResponsePolicy, task: Task, contexts: int = 6, answers: int = 2) -> Rollout:
    envs = MultimodalVectorEnv(contexts, task, feedback="truth")
    envs.reset(seed=2)
    return draw_rollout(policy, envs, answers)


def weights(network: torch.nn.Module) -> Tensor:
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()


def test_labels_of_rewards() -> None:
    reward = torch.tensor([[1.0, 0.0, 1.0]])
    for ties, weight in (("drop", [1, 0, 1]), ("half", [1, 1, 1])):
        target, given = labels(reward, None, ties)
        assert target.tolist() == [[1, 0.5, 0]]
        assert given.tolist() == [weight]
    target, given = labels(reward, 2.0, "drop")
    assert torch.allclose(target, torch.sigmoid(torch.tensor([[2.0, 0.0, -2.0]])))
    assert given.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", KIND_TASKS)
def test_every_loss_learns_from_answers_of_every_kind(name: str, loss: str) -> None:
    if loss != "dpo" and name not in ("choice", "text", "turns"):
        pytest.skip("one loss for each of the other kinds")
    trainer = trainer_of(task_of(name), contexts=3, loss=loss, answers=3, ties="half")
    before = weights(trainer.model)
    trainer.begin(1000)
    first = trainer.update().metrics
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    later = [trainer.update().metrics for _ in range(2)][-1]
    assert all(torch.tensor(list(one.values())).isfinite().all() for one in (first, later))
    assert not torch.equal(weights(trainer.model), before)


def test_the_reference_is_refreshed_and_may_be_drawn_from() -> None:
    trainer = trainer_of(task_of("choice"), refresh=2, ties="half", sample_from="reference", loss="ipo")
    trainer.begin(1000)
    first = weights(trainer.reference)
    assert "forward_kl" in trainer.update().metrics
    assert torch.equal(weights(trainer.reference), first)
    trainer.update()
    assert not torch.equal(weights(trainer.reference), first)
    assert torch.equal(weights(trainer.reference), weights(trainer.model))


def test_the_preferred_answer_gains() -> None:
    """Accuracy: how often the policy prefers the better answer more than the reference does."""
    trainer = trainer_of(task_of("choice"), contexts=64, answers=6, learning_rate=3e-3)
    learn(trainer, 64 * 6 * 25)
    assert trainer.curve.points[-1].metrics["accuracy"] > 0.8
    assert trainer.curve.points[-1].utility > trainer.curve.points[0].utility


def test_the_loss_is_that_of_whole_answers() -> None:
    task = task_of("text")
    policy, reference = ResponsePolicy(task, 16, 16), ResponsePolicy(task, 16, 16, seed=1)
    rollout = rollout_of(policy, task)
    log_prob = log_probs(policy, rollout)
    ratio = log_ratios(log_prob, reference, rollout, PLAIN)
    assert torch.allclose(ratio, log_prob - log_probs(reference, rollout))
    target = torch.rand(6, generator=torch.Generator().manual_seed(0))
    expected = dpo(ratio[:, 0] - ratio[:, 1], target, 0.3)
    assert torch.equal(PairLoss("dpo", 0.3)(ratio, target), expected)


def test_mismatched_answers_are_those_to_another_context() -> None:
    task = task_of("choice")
    policy, reference = ResponsePolicy(task, 16, 16), ResponsePolicy(task, 16, 16, seed=1)
    rollout = rollout_of(policy, task, 3)
    found = mismatched_ratios(policy, reference, rollout).view(3, 2)
    assert isinstance(policy.head, ChoiceHead)
    assert isinstance(reference.head, ChoiceHead)
    with torch.no_grad():
        table = policy.head.all_log_probs(policy.encode(rollout.context))
        table = table - reference.head.all_log_probs(reference.encode(rollout.context))
    wanted = torch.stack([table[row].gather(0, rollout.response[row - 1]) for row in range(3)])
    assert torch.allclose(found, wanted, atol=1e-6)
    with pytest.raises(ValueError, match="contexts=1 is below 2: kto compares"):
        mismatched_ratios(policy, reference, rollout.take(torch.tensor([0])))


def test_recorded_pairs_are_learned() -> None:
    """Labels on answers of a table, skipped ones left out; the better answers become likelier."""
    task = task_of("text")
    policy = ResponsePolicy(task, 16, 16)
    rollout = rollout_of(policy, task, contexts=24)
    answers = Answers.of(rollout.context, rollout.response, rollout.length)
    first = torch.arange(0, 48, 2)
    choice = torch.tensor([FIRST, SECOND, SKIP, TIE]).repeat(6)
    pairs = Pairs(torch.zeros_like(first), first, first + 1, choice, torch.ones_like(first, dtype=torch.bool))
    batch = pair_batch(Labelled(answers, ("ann",), (pairs,)))
    kept = choice != SKIP
    assert torch.equal(batch.response, rollout.response[kept])
    assert torch.equal(batch.target, pairs.target[kept])
    assert torch.equal(batch.context["image"], rollout.context["image"][kept])
    before = margins(policy, batch)
    losses = learn_pairs(policy, batch, PairSettings(epochs=30, batch=9, learning_rate=3e-3), seed=1)
    assert len(losses) == 30 * 2
    assert losses[-1] < losses[0]
    gained = (margins(policy, batch) - before) * (batch.target - 0.5).sign()
    assert (gained[batch.target != 0.5] > 0).all()


def margins(policy: ResponsePolicy, batch: PairBatch) -> Tensor:
    with torch.no_grad():
        both = log_probs(policy, batch.rollout())
    return both[:, 0] - both[:, 1]


def test_the_seed_decides_the_order_and_every_loss_takes_recorded_pairs() -> None:
    task = task_of("choice")
    rollout = rollout_of(ResponsePolicy(task, 16, 16), task, contexts=8)
    batch = PairBatch(rollout.context, rollout.response, torch.ones(8), weight=torch.ones(8))
    for loss in LOSSES:
        several = []
        for seed in (0, 0, 1):
            policy = ResponsePolicy(task, 16, 16)
            learn_pairs(policy, batch, PairSettings(loss=loss, batch=3, epochs=2), seed=seed)
            several.append(weights(policy))
        assert torch.equal(several[0], several[1])
        assert not torch.equal(several[0], several[2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"answers": 1}, "answers=1 is below 2"),
        ({"loss": "dop"}, "loss='dop' is not one of dpo, cdpo, robust_dpo, ipo, hinge, kto"),
        ({"beta": 0.0}, "beta=0.0 is not above 0"),
        ({"smoothing": 0.5}, "smoothing=0.5 is not within 0 to 0.5"),
        ({"rationality": 0.0}, "rationality=0.0 is not above 0"),
        ({"ties": "keep"}, "ties='keep' is not one of drop, half"),
        ({"sample_from": "me"}, "sample_from='me' is not one of policy, reference"),
        ({"temperature": 0.0}, "temperature=0 draws equal answers"),
        ({"refresh": -1}, "refresh=-1 is below 0"),
    ],
)
def test_wrong_settings_are_refused(given: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceSettings(**given)


def test_nothing_to_learn_is_refused() -> None:
    task = task_of("choice")
    rollout = rollout_of(ResponsePolicy(task, 16, 16), task)
    none = PairBatch(rollout.context, rollout.response, torch.ones(6)).take(torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="pairs=0 is below 1: collect some"):
        learn_pairs(ResponsePolicy(task, 16, 16), none)
