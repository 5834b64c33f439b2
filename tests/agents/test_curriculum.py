"""Samplers of kinds: their probabilities by mode, the items that they choose, and trainings that use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import gymnasium as gym
import pytest
import torch

from agents.curriculum import MODES, Curriculum, GroupSampler
from agents.learning import learn
from agents.on_policy import OnPolicy
from agents.on_policy_settings import OnPolicySettings
from agents.trainers import make_trainer
from mm_envs.random import fold, stream
from mm_envs.tasks import make_task

MakeEnvs: TypeAlias = Callable[..., gym.vector.VectorEnv]
NAMES, SIZES = ("colour", "shape", "count"), (30, 60, 10)
EACH = torch.arange(3)


def rewarded(mode: str, *rewards: tuple[float, float, float]) -> GroupSampler:
    sampler = GroupSampler(mode, NAMES, SIZES, threshold=0.5)
    for each in rewards:
        sampler.observe(EACH, torch.tensor(each))
    return sampler


def shares(sampler: GroupSampler) -> list[float]:
    return [round(one, 6) for one in sampler.probabilities().tolist()]


def test_probabilities_follow_the_mode() -> None:
    third = round(1 / 3, 6)
    assert shares(rewarded("uniform", (0, 1, 0))) == [third] * 3
    assert shares(rewarded("proportional", (0, 1, 0))) == [0.3, 0.6, 0.1]
    assert shares(rewarded("progress")) == [third] * 3
    assert shares(rewarded("progress", (0, 1, 0))) == [third] * 3
    # What is learned and what is forgotten at the same speed are drawn alike, what does not change less.
    moving = rewarded("progress", (0.5, 0.5, 0.5), (0.6, 0.4, 0.5))
    assert shares(moving) == [round(0.2 / 3 + 0.4, 6)] * 2 + [round(0.2 / 3, 6)]


def test_averages_are_those_of_the_formula() -> None:
    sampler = rewarded("progress", (0.0, 0.2, 1.0), (1.0, 0.2, 1.0))
    assert torch.allclose(sampler.fast, torch.tensor([0.05, 0.2, 1.0], dtype=torch.float64))
    assert torch.allclose(sampler.slow, torch.tensor([0.01, 0.2, 1.0], dtype=torch.float64))
    # Several rewards of a group count as their mean; groups without one keep their averages.
    sampler.observe(torch.tensor([1, 1]), torch.tensor([0.0, 0.4]))
    assert torch.allclose(sampler.fast, torch.tensor([0.05, 0.2, 1.0], dtype=torch.float64))


def test_ordered_groups_are_added_by_the_threshold_and_stay() -> None:
    sampler = GroupSampler("ordered", NAMES, SIZES, threshold=0.5)
    assert shares(sampler) == [1, 0, 0]
    sampler.observe(torch.tensor([0]), torch.tensor([0.4]))
    assert shares(sampler) == [1, 0, 0]
    for _ in range(20):
        sampler.observe(torch.tensor([0]), torch.tensor([0.9]))
    assert shares(sampler) == [0.5, 0.5, 0]
    # All groups before the next one have to reach the threshold at once.
    for rewards in [(0.0, 0.0)] * 60 + [(0.0, 0.9)] * 60:
        sampler.observe(torch.tensor([0, 1]), torch.tensor(rewards))
        assert shares(sampler) == [0.5, 0.5, 0]
    for _ in range(60):
        sampler.observe(torch.tensor([0, 1]), torch.tensor([0.9, 0.9]))
    assert sampler.added == 3


@pytest.mark.parametrize("mode", MODES)
def test_draws_follow_the_probabilities(mode: str) -> None:
    sampler = rewarded(mode, (0.5, 0.5, 0.1), (0.6, 0.5, 0.4))
    n = 20_000
    drawn = sampler.draw(fold(stream(0, "draws"), torch.arange(n)))
    found = torch.bincount(drawn, minlength=3) / n
    # Four standard deviations of a share.
    assert torch.allclose(found.double(), sampler.probabilities(), atol=4 * 0.5 / n**0.5)


def test_unknown_modes_and_tasks_without_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="curriculum='hard' is not one of uniform, proportional"):
        GroupSampler("hard", NAMES, SIZES)
    with pytest.raises(ValueError, match="curriculum='hard' is not one of none, uniform"):
        OnPolicySettings(curriculum="hard")
    with pytest.raises(ValueError, match="those of Caption on 'scenes' have none: leave it at 'none'"):
        Curriculum(make_task("caption"), "train", "progress")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_items_are_of_the_group_drawn_and_of_the_split(split: str) -> None:
    task = make_task("vqa")
    curriculum = Curriculum(task, split, "ordered", seed=3)
    assert curriculum.sampler.names == task.item_kinds
    items = curriculum.items(200)
    assert set(items.tolist()) <= set(task.dataset.range(split))
    assert set(task.batch(items, ("kind",))["kind"].tolist()) == {0}
    assert not torch.equal(items, curriculum.items(200))
    assert len(items.unique()) > 50
    uniform = Curriculum(task, split, "uniform", seed=3).items(6000)
    counts = torch.bincount(task.batch(uniform, ("kind",))["kind"], minlength=6)
    assert int(counts.min()) > 850


@pytest.mark.parametrize("enumerated", [True, False])
def test_a_training_draws_by_kind(make: MakeEnvs, enumerated: bool) -> None:
    envs = gym.make_vec("MMVQA-v0", 16, feedback="truth")
    settings = OnPolicySettings(
        answers=2, enumerate=enumerated, curriculum="ordered", curriculum_threshold=2.0
    )
    trainer = make_trainer("rloo", envs, settings=settings, features=16, hidden=16)
    assert isinstance(trainer, OnPolicy)
    learn(trainer, 64)
    items = trainer.engine.prompts().item
    kinds = trainer.task.batch(items, ("kind",))["kind"]
    assert set(kinds.tolist()) == {trainer.task.item_kinds.index("existence")}
    assert trainer.curriculum is not None
    found = trainer.curriculum.sampler.metrics()
    assert found["share_existence"] == 1
    assert 0 < found["reward_existence"] < 1
    assert trainer.curve.points[-1].metrics["share_existence"] == 1


def test_groups_of_rows_share_an_item() -> None:
    envs = gym.make_vec("MMVQA-v0", 8, feedback="truth", group_size=4)
    settings = OnPolicySettings(answers=2, curriculum="uniform")
    trainer = make_trainer("rloo", envs, settings=settings, features=16, hidden=16)
    learn(trainer, 16)
    assert len(envs.unwrapped.prompts().item.unique()) == 2  # type: ignore[attr-defined]
