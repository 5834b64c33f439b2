"""Folders of compressed policies: read again, evaluated, trained on, refused."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import pytest
import torch

from agents.agent_folder import load, save
from agents.comparison import compare
from agents.compression.compress import REPORT, CompressSettings, compress
from agents.compression.distil import DistilSettings
from agents.compression.int8 import is_quantised, quantise
from agents.compression.prune import zeros
from agents.examples import Examples
from agents.policy_folder import WEIGHTS, load_policy
from agents.run_folder import Setting, load_run
from agents.store import load_tensors, write_tensors
from agents.trainers import make_trainer

ID = "MMClassify-digits-v0"
QUICK = CompressSettings(distil=DistilSettings(steps=128), student=0.6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """An agent that is hardly trained, in a folder."""
    folder = tmp_path_factory.mktemp("runs") / "agent"
    envs = gym.make_vec(ID, num_envs=2, feedback="truth")
    trainer = make_trainer("sft", envs, features=32, hidden=32)
    trainer.begin(128)
    trainer.update()
    save(trainer, folder)
    return load_run(folder)


def test_int8_is_read_as_it_was_written(run: Setting, tmp_path: Path) -> None:
    result = compress(run, tmp_path / "small", "int8", episodes=16)
    task = run.make(1).task
    assert run.agent is not None
    made, found = quantise(load_policy(run.agent, task)), load_policy(tmp_path / "small", task)
    contexts = Examples(task).contexts(0, 8)
    assert torch.equal(made.encode(contexts).pooled, found.encode(contexts).pooled)
    assert all(torch.equal(one, found.state_dict()[key]) for key, one in made.state_dict().items())
    before, after = result.measured
    assert after.bytes < 0.7 * before.bytes
    assert (before.name, before.same) == ("before", 1.0)
    assert all(one.latency[size] > 0 for one in result.measured for size in (1, 256))
    assert json.loads((tmp_path / "small" / REPORT).read_text())["policies"][1]["how"] == "int8"


def test_int8_is_evaluated_and_not_trained(run: Setting, tmp_path: Path) -> None:
    compress(run, tmp_path / "small", "int8", episodes=16)
    setting = load_run(tmp_path / "small")
    assert "trained" in compare(setting, 16).evaluations
    with pytest.raises(ValueError, match="int8 weights, which are not trained"):
        load(tmp_path / "small", setting.make(2))
    with pytest.raises(ValueError, match="int8 weights, which are not trained"):
        make_trainer("sft", setting.make(2), start=str(tmp_path / "small"))
    with pytest.raises(ValueError, match="compress the policy that it was made of"):
        compress(setting, tmp_path / "smaller", "prune", episodes=16)


def test_int8_weights_that_do_not_fit_are_refused(run: Setting, tmp_path: Path) -> None:
    compress(run, tmp_path / "small", "int8", episodes=16)
    weights = load_tensors(tmp_path / "small" / WEIGHTS)
    name = next(key for key in weights if key.endswith(".values"))
    write_tensors(tmp_path / "small" / WEIGHTS, {**weights, name: weights[name].float()})
    with pytest.raises(ValueError, match="not of the right shape"):
        load_policy(tmp_path / "small", run.make(1).task)


@pytest.mark.parametrize("finetune", [0, 128])
def test_a_pruned_policy_is_read_evaluated_and_trained(run: Setting, tmp_path: Path, finetune: int) -> None:
    settings = CompressSettings(share=0.75, finetune=finetune)
    result = compress(run, tmp_path / "small", "prune", settings, episodes=16)
    setting = load_run(tmp_path / "small")
    policy = load_policy(tmp_path / "small", setting.make(1).task)
    removed, number = zeros(policy)
    assert removed == round(0.75 * number)
    assert result.measured[1].bytes < result.measured[0].bytes / 2
    assert "trained" in compare(setting, 16).evaluations
    trainer = load(tmp_path / "small", setting.make(2))
    assert all(torch.equal(one, policy.state_dict()[key]) for key, one in trainer.weights().items())


def test_a_student_is_a_policy_like_others(run: Setting, tmp_path: Path) -> None:
    result = compress(run, tmp_path / "small", "distil", QUICK, episodes=16)
    before, after = result.measured
    assert after.parameters <= 0.6 * before.parameters
    setting = load_run(tmp_path / "small")
    assert "trained" in compare(setting, 16).evaluations
    assert load(tmp_path / "small", setting.make(2)).policy_arguments["features"] < 32


def test_conversations_are_made_int8_and_pruned(tmp_path: Path) -> None:
    envs = gym.make_vec("MMGuess-v0", num_envs=2, feedback="truth")
    save(make_trainer("sft", envs, features=16, hidden=16), tmp_path / "agent")
    setting = load_run(tmp_path / "agent")
    for how in ("int8", "prune"):
        assert len(compress(setting, tmp_path / how, how, episodes=8).measured) == 2
        assert is_quantised(load_policy(tmp_path / how, envs.unwrapped.task)) is (how == "int8")
    with pytest.raises(ValueError, match="use int8 or prune"):
        compress(setting, tmp_path / "distil", "distil", episodes=8)


@pytest.mark.slow
def test_all_leaves_out_what_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    envs = gym.make_vec("MMGround-v0", num_envs=2, feedback="truth")
    save(make_trainer("sft", envs, features=32, hidden=32, fusion="concat"), tmp_path / "agent")
    result = compress(load_run(tmp_path / "agent"), tmp_path / "small", "all", QUICK, episodes=8)
    assert [one.name for one in result.measured] == ["before", "int8", "prune", "distil"]
    assert "have no ONNX graph" in result.skipped["onnx"]


def test_bad_inputs_are_refused(run: Setting, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="how='zip' is not one of"):
        compress(run, tmp_path / "small", "zip")
    with pytest.raises(ValueError, match="is an id and no trained agent"):
        compress(Setting(ID, {}), tmp_path / "small")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(FileExistsError, match="is not empty"):
        compress(run, tmp_path / "full")
    for name, value in (("share", 0.0), ("share", 1.0), ("student", 1.5), ("finetune", -1)):
        with pytest.raises(ValueError, match=name):
            CompressSettings(**{name: value})
