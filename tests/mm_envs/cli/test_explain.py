"""``mm-envs explain``: agents of our trainers, reward models, and what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mm_envs.__main__ import main
from mm_envs.cli.settings import reward_model_setting
from mm_envs.cli.train import Train

VQA, DIGITS = "MMVQA-v0", "MMClassify-digits-v0"


def _train(folder: Path, name: str, algo: str, **more: Any) -> Path:
    options = {"steps": 256, "num_envs": 32, "eval_episodes": 16, "feedback": "truth", **more}
    assert Train(name, folder, algo=algo, **options).run() == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "vqa"
    policy = ("fusion=word_patch", "features=16", "hidden=16")
    return _train(folder, VQA, "sft", policy=policy, set=("items=512",))


def _message(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_an_agent(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", str(run), "--items", "12", "--examples", "2"]
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["id"] == VQA
    assert found["items"] == 12
    for game in found["shapley"].values():
        total = sum(one["mean"] for one in game["shapley"].values())
        assert total == pytest.approx(game["all"] - game["none"], abs=1e-5)
    assert set(found["counterfactuals"]) == {"all", "colour", "shape", "position"}
    assert found["grounding"]["words"] > 0
    page = Path(found["files"]["page"]).read_text(encoding="utf-8")
    assert page.count("<article>") == 2
    assert "://" not in re.sub(r"data:[^\"]*", "", page)
    numbers = json.loads(Path(found["files"]["numbers"]).read_text(encoding="utf-8"))
    assert numbers["shapley"] == found["shapley"]
    assert main([*words, "--absent", "swap"]) == 0
    printed = capsys.readouterr().out
    assert "times chance" in printed
    assert "counterfactual swaps" in printed
    assert (run / "explain" / "explanation.html").is_file()


def test_a_reward_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, folder = tmp_path / "feedback.db", tmp_path / "model"
    collect = ["feedback", "collect", DIGITS, "--sampler", "right_and_wrong", "--members", "2"]
    assert main([*collect, "--annotators", "2 good", "--pairs", "24", "--db", str(store)]) == 0
    fit = ["feedback", "fit", "--db", str(store), "--out", str(folder), "--members", "2", "--epochs", "1"]
    assert main(fit) == 0
    capsys.readouterr()
    assert main(["explain", str(folder), "--items", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["shapley"]) == ["score of a good answer", "margin of a good answer over a random one"]
    assert found["counterfactuals"] is None
    setting = reward_model_setting(folder)
    assert setting is not None
    assert setting.id == DIGITS
    (folder / "fit.json").write_text(json.dumps({"id": "os:system", "set": []}))
    assert main(["explain", str(folder)]) == 1
    assert "'os:system' is not one of" in _message(capsys)
    (folder / "fit.json").unlink()
    assert main(["explain", str(folder)]) == 1
    assert "does not say which environment the reward model is for" in _message(capsys)


def test_what_cannot_be_explained_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stepwise = _train(tmp_path / "sb3", DIGITS, "sb3-a2c")
    assert main(["explain", str(stepwise)]) == 1
    assert "whose policy acts step by step: give a policy that answers as a whole" in _message(capsys)
    assert main(["explain", str(tmp_path / "nowhere")]) == 1
    assert "nowhere does not exist: give a folder of mm-envs train" in _message(capsys)
    assert main(["explain", str(tmp_path)]) == 1
    assert "holds no agent" in _message(capsys)
    assert main(["explain", str(stepwise), "--items", "1"]) == 1
    assert "--items 1 is below 2: an interval needs two" in _message(capsys)
