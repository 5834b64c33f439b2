"""``mm-envs replay`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import pytest
from PIL import Image

import mm_envs
from mm_envs.__main__ import main


@pytest.fixture(scope="module")
def line() -> str:
    env = gym.make("MMVQA-sound-v0", split="test")
    env.reset(seed=9)
    return mm_envs.ticket(env)


def test_the_question_and_the_answer(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = mm_envs.replay(line)
    out = tmp_path / "new" / "episode.png"
    assert main(["replay", line]) == 0
    output = capsys.readouterr().out
    assert mm_envs.decode(question.env, question.observation)["question"] in output
    assert "reward" not in output
    assert main(["replay", line, "--response", question.good[0], "--out", str(out)]) == 0
    output = capsys.readouterr().out
    for word in ("reward", "utility        1", f"answer         {question.good[0]}", str(out)):
        assert word in output
    with Image.open(out) as picture:
        assert min(picture.size) > 200


def test_json_is_what_python_says(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = mm_envs.replay(line).good[0]
    assert main(["replay", line, "--response", good, "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    outcome = mm_envs.replay(line, good).outcome
    assert outcome is not None
    assert output["ticket"] == line
    assert output["outcome"]["reward"] == outcome.reward
    assert output["outcome"]["reward_parts"] == outcome.reward_parts
    assert output["id"] == "MMVQA-sound-v0"
    assert main(["replay", line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] is None


def test_another_feedback(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", line, "--response", "red", "--feedback", "truth", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)["outcome"]
    assert output["reward"] == output["utility"]


def test_errors_are_one_sentence(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    env = gym.make("MMVQA-v0", dataset=mm_envs.MultimodalVectorEnv(1, "vqa", items=64).task.dataset)
    env.reset(seed=1)
    wrong = {
        (line[:-3],): "is not as it was made (its checksum differs)",
        (line, "--response", "rde"): "answer 'rde' is unknown: did you mean red",
        (line, "--feedback", "nothing"): "feedback='nothing' is not one of",
        (line, "--set", "nonsense"): "is not key=value",
        (mm_envs.ticket(env),): "dataset is no part of the ticket",
    }
    for words, sentence in wrong.items():
        assert main(["replay", *words]) == 1
        output = " ".join(capsys.readouterr().err.split())
        assert sentence in output
        assert "Traceback" not in output


def test_what_was_played_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["MMVQA-v0", "--episodes", "2", "--out", str(tmp_path), "--json"]
    assert main(["play", *words]) == 0
    for one in json.loads(capsys.readouterr().out)["episodes"]:
        assert main(["replay", one["ticket"], "--response", one["answer"], "--json"]) == 0
        outcome = json.loads(capsys.readouterr().out)["outcome"]
        assert (outcome["reward"], outcome["utility"]) == (one["reward"], one["utility"])
