"""Encoders and what of them is trained, as arguments of policies of both kinds of trainers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from agents.agent_folder import load, save
from agents.compression.distil import student_of
from agents.compression.int8 import quantise
from agents.encoders.adapters import LowRankLinear, parameter_counts
from agents.encoders.choice import EncoderChoice, check_stored
from agents.learning import learn
from agents.policy import ResponsePolicy
from agents.policy_folder import COMPRESSION, CONFIG, INT8, load_policy, save_policy, spaces_of, write_folder
from agents.sb3.settings import PPOSettings
from agents.trainers import make_trainer
from mm_envs.__main__ import main
from mm_envs.spaces import Image
from mm_envs.tasks import make_task
from mm_envs.tasks.task import Task

BACKBONE = "mobilenet_v3_small"
SMALL: dict[str, Any] = {"kind": BACKBONE, "size": 64}
ADAPTED: dict[str, Any] = {
    "question": {"kind": "transformer", "trainable": "lora:2"},
    "image": {"trainable": "none"},
}
VQA, DIGITS = "MMVQA-v0", "MMClassify-digits-v0"


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("classify", dataset="digits")


def encoder_of(policy: ResponsePolicy) -> Any:
    return policy.context_encoder.fused.encoders["image"]


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(one, theirs[key]) for key, one in ours.items())


@pytest.mark.parametrize("how", ["all", "none", "last:2"])
def test_a_policy_is_saved_and_loaded(how: str, task: Task, tmp_path: Path) -> None:
    policy = ResponsePolicy(task, 16, 16, seed=3, encoders={"image": SMALL}, trainable=how)
    save_policy(policy, task, tmp_path)
    loaded = load_policy(tmp_path, task)
    assert same(policy, loaded)
    assert loaded.arguments == policy.arguments
    assert parameter_counts(encoder_of(loaded)) == parameter_counts(encoder_of(policy))


def test_a_policy_with_adapters_is_saved_loaded_and_compressed(tmp_path: Path) -> None:
    task = make_task("vqa", items=64)
    policy = ResponsePolicy(task, 16, 16, seed=3, encoders=ADAPTED)
    save_policy(policy, task, tmp_path / "policy")
    assert same(load_policy(tmp_path / "policy", task), policy)
    small = quantise(policy)
    assert not any(isinstance(one, LowRankLinear) for one in small.modules())
    config = {"policy": policy.arguments, "spaces": spaces_of(task), COMPRESSION: {"how": INT8}}
    write_folder(tmp_path / "int8", small.state_dict(), config)
    assert same(load_policy(tmp_path / "int8", task), small)


def test_arguments_without_a_choice_are_as_before(task: Task) -> None:
    assert set(ResponsePolicy(task, 16, 16).arguments) == {"features", "hidden", "fusion", "decoder"}


def test_a_folder_needs_no_file_of_weights(task: Task, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    model = get_model(BACKBONE, weights=None)
    save_file(dict(model.state_dict()), str(file))
    policy = ResponsePolicy(task, 16, 16, encoders={"image": {**SMALL, "weights": str(file)}})
    assert torch.equal(encoder_of(policy).trunk[0][0].weight, model.features[0][0].weight)
    save_policy(policy, task, tmp_path / "policy")
    file.unlink()
    assert str(file) not in (tmp_path / "policy" / CONFIG).read_text()
    assert same(load_policy(tmp_path / "policy", task), policy)


def test_an_entry_may_be_trained_in_another_way() -> None:
    spaces = {"image": Image(64, 64), "other": Image(64, 64)}
    made = EncoderChoice({"image": {"trainable": "none"}}, "last:1").make(spaces)
    trained = {key: parameter_counts(one)["trained"] for key, one in made.items()}
    assert trained["image"] == 0 < trained["other"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"encoders": {"imag": BACKBONE}}, "did you mean image"),
        ({"encoders": {"image": "resnet"}}, "encoder of 'image': kind='resnet' is not one of patches"),
        ({"encoders": {"image": {"sise": 3}}}, "has no argument 'sise'"),
        ({"encoders": BACKBONE}, "is no dict"),
        ({"encoders": {"image": 3}}, "image=3 is no name of an encoder"),
        ({"trainable": "some"}, "trainable='some' is not one of all, none, last:K, lora:R"),
        ({"encoders": {"image": {"trainable": 1}}}, "is not one of all"),
        ({"trainable": "last:99"}, "encoder of 'image'"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], fault: str, task: Task) -> None:
    with pytest.raises(ValueError, match=fault):
        ResponsePolicy(task, 16, 16, **arguments)


@pytest.mark.parametrize(
    "given", [{"weights": "/etc/passwd"}, {"size": 10**9}, {"size": [64]}, {"trainable": "code"}]
)
def test_untrusted_files_are_checked(given: dict[str, Any], task: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="encoders: "):
        check_stored({"encoders": {"image": given}})
    policy = ResponsePolicy(task, 16, 16)
    save_policy(policy, task, tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    config["policy"]["encoders"] = {"image": given}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match="is damaged"):
        load_policy(tmp_path, task)


@pytest.mark.parametrize("algo", ["rloo", "sft", "sb3-ppo"])
def test_what_is_frozen_stays_as_it_is_in_trainings(algo: str, tmp_path: Path) -> None:
    envs = gym.make_vec(VQA, num_envs=8, feedback="truth", items=64)
    about: dict[str, Any] = {"encoders": ADAPTED, "features": 16, "hidden": 16}
    settings = PPOSettings(n_steps=4, n_epochs=1) if algo == "sb3-ppo" else None
    trainer = make_trainer(algo, envs, settings=settings, **about)
    frozen = {name: one.clone() for name, one in trainer.network.named_parameters() if not one.requires_grad}
    adapters = {name: one.clone() for name, one in trainer.network.named_parameters() if ".up" in name}
    assert frozen
    learn(trainer, 512)
    now = dict(trainer.network.named_parameters())
    assert all(torch.equal(now[name], one) for name, one in frozen.items())
    assert any(not torch.equal(now[name], one) for name, one in adapters.items())
    save(trainer, tmp_path)
    again = load(tmp_path, gym.make_vec(VQA, num_envs=8, feedback="truth", items=64))
    assert same(again.network, trainer.network)
    assert again.policy_arguments == trainer.policy_arguments


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    options = ["--steps", "64", "--num-envs", "8", "--eval-episodes", "0", "--feedback", "truth"]
    chosen = ["--policy", "features=16", "--policy", "hidden=16"]
    given = ["--policy", "encoders.image=patches", "--policy", "trainable=last:1"]
    assert main(["train", DIGITS, "--out", str(out), *options, *chosen, *given]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "parameters trained: image 36,992 of" in printed
    policy = load_policy(out, make_task("classify", dataset="digits"))
    assert policy.arguments["encoders"] == {"image": "patches"}
    assert policy.arguments["trainable"] == "last:1"
    assert (
        main(["train", DIGITS, "--out", str(tmp_path / "b"), *options, "--policy", "encoders.x=patches"]) == 1
    )
    assert "encoders has no argument 'x'" in " ".join(capsys.readouterr().err.split())


def test_a_training_is_resumed_exactly(tmp_path: Path) -> None:
    def make() -> Any:
        envs = gym.make_vec(VQA, num_envs=8, feedback="truth", items=64)
        return make_trainer("rloo", envs, encoders=ADAPTED, features=16, hidden=16)

    whole, stopped, resumed = make(), make(), make()
    for trainer in (whole, stopped):
        trainer.begin(256)
        trainer.update()
    resumed.load_state_dict(stopped.state_dict())
    resumed.total = whole.total
    whole.update()
    resumed.update()
    assert same(whole.model, resumed.model)


def test_sb3_keeps_pretrained_weights(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    model = get_model(BACKBONE, weights=None)
    save_file(dict(model.state_dict()), str(file))
    envs = gym.make_vec(DIGITS, num_envs=2, feedback="truth")
    trainer = make_trainer("sb3-ppo", envs, encoders={"image": {**SMALL, "weights": str(file)}})
    extractor: Any = trainer.network.features_extractor
    assert torch.equal(extractor.encoder.encoders["image"].trunk[0][0].weight, model.features[0][0].weight)
    assert "weights" not in json.dumps(trainer.policy_arguments)


def test_a_student_keeps_chosen_encoders(task: Task) -> None:
    teacher = ResponsePolicy(task, 256, 256, seed=1, encoders={"image": SMALL}, trainable="none")
    assert same(encoder_of(student_of(teacher, task, share=0.7)), encoder_of(teacher))
