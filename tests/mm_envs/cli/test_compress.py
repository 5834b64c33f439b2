"""``mm-envs compress`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import pytest

from agents.agent_folder import save
from agents.trainers import make_trainer
from mm_envs.__main__ import main

ID = "MMClassify-digits-v0"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "agent"
    envs = gym.make_vec(ID, num_envs=2, feedback="truth")
    return save(make_trainer("sft", envs, features=32, hidden=32), folder)


def message(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_the_report_and_the_folder(agent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compress", str(agent), "--out", str(tmp_path / "small"), "--episodes", "16"]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["how"] for one in report["policies"]] == ["before", "int8"]
    assert report["threads"] == 1
    assert report == json.loads((tmp_path / "small" / "compression.json").read_text())
    assert main([*words, "--overwrite", "--how", "prune", "--share", "0.9"]) == 0
    assert "prune" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "small"), "--episodes", "16"]) == 0
    assert "trained" in capsys.readouterr().out


@pytest.mark.slow
def test_all_methods(agent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    words = ["compress", str(agent), "--how", "all", "--out", str(tmp_path / "small")]
    options = ["--steps", "128", "--student", "0.6", "--finetune", "64", "--episodes", "16", "--json"]
    assert main([*words, *options]) == 0
    policies = json.loads(capsys.readouterr().out)["policies"]
    assert [one["how"] for one in policies] == ["before", "int8", "prune", "distil", "onnx"]
    assert policies[-1]["same_answers"] == 1.0
    for name in ("int8", "prune", "distil"):
        assert main(["evaluate", str(tmp_path / "small" / name), "--episodes", "8"]) == 0


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--share", "1.5"], "share=1.5 is not between 0 and 1"),
        (["--student", "0"], "student=0.0 is not between 0 and 1"),
        (["--temperature", "0"], "temperature=0.0 is not above 0"),
        (["--episodes", "0"], "evaluate on at least one"),
    ],
)
def test_options_out_of_range(
    agent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], fault: str
) -> None:
    assert main(["compress", str(agent), "--out", str(tmp_path / "small"), *options]) == 1
    assert fault in message(capsys)
    assert not (tmp_path / "small").exists()


def test_runs_without_a_policy_of_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    envs = gym.make_vec(ID, num_envs=2, feedback="truth")
    save(make_trainer("sb3-ppo", envs, features=16), tmp_path / "sb3")
    (tmp_path / "empty").mkdir()
    for name, fault in (("sb3", "acts step by step"), ("empty", "holds no agent")):
        assert main(["compress", str(tmp_path / name), "--out", str(tmp_path / "small")]) == 1
        assert fault in message(capsys)
    assert main(["compress", ID, "--out", str(tmp_path / "small")]) == 1
    assert "is an id and no trained agent" in message(capsys)
    assert not (tmp_path / "small").exists()
