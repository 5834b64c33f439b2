"""Unions: shared encoders, heads for each environment, turns by the sampler, exact resume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor

import mm_envs  # noqa: F401 - registers the environments
from agents.agent_folder import load, save
from agents.checkpoints import Checkpoints
from agents.learning import learn, resume
from agents.multi_task import MultiTask
from agents.on_policy_settings import OnPolicySettings
from agents.trainers import make_trainer
from agents.union import union

NAMES = ("MMVQA-v0", "MMClassify-v0", "MMVQA-tokens-v0")
SETTINGS = OnPolicySettings(answers=2, learning_rate=1e-2)


def made(
    names: tuple[str, ...] = NAMES, settings: Any = SETTINGS, algo: str = "rloo", **about: Any
) -> MultiTask:
    envs = union([gym.make_vec(name, 8, feedback="truth") for name in names], **about)
    trainer = make_trainer(algo, envs, seed=3, settings=settings, features=16, hidden=16)
    assert isinstance(trainer, MultiTask)
    return trainer


def encoder(trainer: MultiTask, name: str, key: str) -> torch.nn.Module:
    return trainer.members[name].model.context_encoder.fused.encoders[key]


def weights(module: torch.nn.Module) -> list[Tensor]:
    return [one.detach().clone() for one in module.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_equal_entries_share_an_encoder_and_others_do_not() -> None:
    trainer = made()
    image = encoder(trainer, "MMVQA-v0", "image")
    assert all(encoder(trainer, name, "image") is image for name in NAMES)
    question = encoder(trainer, "MMVQA-v0", "question")
    assert encoder(trainer, "MMVQA-tokens-v0", "question") is question
    assert encoder(trainer, "MMClassify-v0", "text") is not question
    heads = {type(one.model.head).__name__ for one in trainer.members.values()}
    assert heads == {"ChoiceHead", "TextHead"}
    # Pictures of another size are another entry.
    others = made(("MMVQA-v0", "MMClassify-digits-v0"))
    assert encoder(others, "MMVQA-v0", "image") is not encoder(others, "MMClassify-digits-v0", "image")
    assert len(trainer.weights()) < sum(len(one.weights()) for one in trainer.members.values())


@pytest.mark.parametrize("name", NAMES[:2])
def test_every_environment_trains_the_shared_encoder_and_its_own_head(name: str) -> None:
    trainer = made(NAMES[:2])
    trainer.begin(1000)
    member, (other,) = trainer.members[name], [one for one in NAMES[:2] if one != name]
    image, own = weights(encoder(trainer, name, "image")), weights(member.model.head)
    theirs = weights(trainer.members[other].model.head)
    for _ in range(3):
        member.update()
    assert not same(image, weights(encoder(trainer, other, "image")))
    assert not same(own, weights(member.model.head))
    assert same(theirs, weights(trainer.members[other].model.head))


def test_a_training_takes_turns_and_follows_one_schedule() -> None:
    trainer = made(NAMES[:2])
    learn(trainer, 640)
    steps = [one.step for one in trainer.members.values()]
    assert trainer.step == sum(steps) == 640
    assert min(steps) > 160
    assert trainer.turns == 40
    # The last rate of a cosine is near its end for whichever trainer was the last.
    assert min(one.rate for one in trainer.members.values()) < 0.1 * SETTINGS.learning_rate
    last = trainer.curve.points[-1].metrics
    assert {"reward_MMVQA-v0", "share_MMClassify-v0"} < last.keys()
    assert any(name in last for name in ("MMVQA-v0/loss", "MMClassify-v0/loss"))


def test_ordered_environments_wait_for_the_first() -> None:
    trainer = made(NAMES[:2], sampling="ordered", threshold=2.0)
    learn(trainer, 64)
    assert [one.step for one in trainer.members.values()] == [64, 0]
    sizes = made(("MMVQA-v0", "MMClassify-digits-v0"), sampling="proportional").sampler.probabilities()
    assert sizes.tolist() == pytest.approx([8192 / (8192 + 1205), 1205 / (8192 + 1205)])


@pytest.mark.parametrize("algo", ["rloo", "ppo"])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path: Path, algo: str) -> None:
    settings = OnPolicySettings(answers=2, kl=0.1, curriculum="progress") if algo == "rloo" else None
    whole, stopped, again = (made(NAMES[:2], settings, algo, sampling="progress") for _ in range(3))
    learn(whole, 320)
    checkpoints = Checkpoints(tmp_path, seconds=math.inf)
    learn(
        stopped, 320, lambda point: checkpoints.stop() if point.step > 100 else None, checkpoints=checkpoints
    )
    assert stopped.step < 320
    resume(again, Checkpoints(tmp_path))
    first, second = (one.state_dict() for one in (whole, again))
    assert first.values == second.values
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(one, second.tensors[name]) for name, one in first.tensors.items())
    with pytest.raises(ValueError, match="sampling of the union was progress and is now uniform"):
        resume(made(NAMES[:2], settings, algo), Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="environments of the training was MMVQA-v0, MMClassify-v0 and is"):
        resume(made(NAMES[::2], settings, algo, sampling="progress"), Checkpoints(tmp_path))


def test_the_policy_of_one_environment_is_saved_and_loaded(tmp_path: Path) -> None:
    trainer = made(NAMES[:2])
    learn(trainer, 64)
    with pytest.raises(ValueError, match="several policies: save"):
        save(trainer, tmp_path)
    with pytest.raises(ValueError, match=r"take trainer.members\[NAME\].policy"):
        trainer.policy()
    save(trainer.members["MMVQA-v0"], tmp_path)
    loaded = load(tmp_path, gym.make_vec("MMVQA-v0", 2, feedback="truth"))
    assert all(
        torch.equal(one, loaded.weights()[name])
        for name, one in trainer.members["MMVQA-v0"].weights().items()
    )


def test_what_is_no_union_is_refused() -> None:
    envs = [gym.make_vec("MMVQA-v0", 2) for _ in range(2)]
    with pytest.raises(ValueError, match="a union of 1 environments is none: give at least two"):
        union(envs[:1])
    with pytest.raises(ValueError, match="MMVQA-v0, MMVQA-v0 are not distinct: give a dict of names"):
        union(envs)
    with pytest.raises(ValueError, match="sampling='hard' is not one of uniform"):
        union({"a": envs[0], "b": envs[1]}, "hard")
    with pytest.raises(ValueError, match="environment 'MMVQA-tokens-v0' is none of"):
        union([envs[0], gym.make_vec("MMVQA-tokens-v0", 2, output="numpy")])
    with pytest.raises(ValueError, match="algo='sft' does not take a union: use rloo"):
        make_trainer("sft", union({"a": envs[0], "b": envs[1]}))
    with pytest.raises(ValueError, match="widths"):
        make_trainer("rloo", union({"a": envs[0], "b": envs[1]}), widths=16)
