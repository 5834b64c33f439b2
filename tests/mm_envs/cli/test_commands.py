"""The commands as a user types them."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mm_envs import CONFIGURATIONS
from mm_envs.__main__ import main
from mm_envs.cli.settings import setting_of
from mm_envs.cli.train import Train

DIGITS = "MMClassify-digits-v0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a short training wrote, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    options = Train(DIGITS, folder, steps=600, num_envs=64, eval_episodes=64, feedback="truth", seed=3)
    assert options.run() == 0
    return folder


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def _message(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


# Errors -----------------------------------------------------------------------------------------------


def test_an_unknown_id_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "MMClasify-digit-v0"]) == 1
    message = _message(capsys)
    assert "'MMClasify-digit-v0' is unknown" in message
    assert DIGITS in message
    assert "Traceback" not in message


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "check", "xyz"]) == 1
    message = _message(capsys)
    assert "Traceback" in message
    assert "mm-envs list" in message


@pytest.mark.parametrize("words", [["train"], ["nonsense"], ["bench", "memory"], ["list", "--items", "few"]])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "--steps 0 is below 1"),
        (["--set", "dataset"], "--set dataset is not key=value"),
        (["--set", "objects=[1,"], "is not JSON"),
        (["--set", "nonsense=3"], "task 'classify' has no argument 'nonsense': it takes dataset, "),
        (["--set", "skale=6"], "has no argument 'skale' (did you mean scale?)"),
        (["--set", "device=cuda"], "--set device=cuda is not for --set: use --device"),
        (["--set", "num_envs=7"], "--set num_envs=7 is not for --set: use --num-envs"),
        (["--set", "split=test"], "--set split=test is not for --set: agents are trained on the train split"),
        (["--set", "feedback=truth"], "is not for --set: use --feedback"),
        (["--set", "output=numpy"], "is not for --set: training has it as it must be"),
        (["--set", "task=vqa"], "is not for --set: train in Python"),
        (["--set", "answer=distribution", "--algo", "sb3-dqn"], "algo='sb3-dqn' needs Discrete actions"),
        (["--device", "gpu"], "--device gpu is not one of cpu"),
        (["--device", "cudaa"], "--device cudaa is not one of cpu"),
        (["--device", "meta"], "--device meta: torch sees no such accelerator here, use --device c"),
        (["--device", "cpu:1"], "--device cpu:1: torch sees 1 of them, counted from 0"),
        (["--feedback", "hashlib:judge"], "module hashlib has no judge"),
        (["--feedback", "nothing"], "feedback='nothing' is not one of"),
        (["--settings", "answer=1"], "OnPolicySettings has no argument 'answer' (did you mean answers?)"),
        (["--policy", "features"], "--policy features is not key=value"),
        (["--algo", "sft", "--warm-start", "5"], "--warm-start is not for --algo sft"),
        (["--settings", "kl=1", "--settings", "kl_in=loss"], "its expected gradient is zero"),
        (["--set", "reward=dense"], "reward='dense' needs feedback"),
        (
            ["--set", "answer=distribution", "--settings", "enumerate=true"],
            "enumerate needs a task of choices",
        ),
        (["--warm-start", "8", "--steps", "100"], "leave nothing of steps=100 for rewards"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", DIGITS, "--out", str(tmp_path / "run"), *words]) == 1
    assert message in _message(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", DIGITS, "--steps", "0"], "--steps 0 is below 1"),
        (["check", DIGITS, "--rows", "0"], "--rows 0 is below 1"),
        (["list", "--items", "0"], "--items 0 is below 1"),
        (["evaluate", DIGITS, "--episodes", "0"], "--episodes 0 is below 1"),
        (["play", DIGITS, "--episodes", "0"], "--episodes 0 is below 1"),
        (["evaluate", DIGITS, "--device", "gpu"], "--device gpu is not one of cpu"),
        (["evaluate", DIGITS, "--feedback", "nothing"], "feedback='nothing' is not one of"),
        (["evaluate", "MMClassify-digit-v0"], "did you mean MMClassify-digits-v0"),
    ],
)
def test_wrong_numbers_are_reported_with_their_option(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    assert message in _message(capsys)


def test_an_accelerator_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert main(["evaluate", DIGITS, "--device", "cuda:0"]) == 1
    assert "--device cuda:0: torch sees no such accelerator here, use --device cpu" in _message(capsys)
    assert main(["evaluate", DIGITS, "--device", "gpu"]) == 1
    assert _message(capsys).endswith("--device gpu is not one of cpu")


def test_a_folder_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    assert main(["train", DIGITS, "--out", str(tmp_path)]) == 1
    assert "--overwrite" in _message(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


@pytest.mark.parametrize("command", ["evaluate", "play"])
def test_a_folder_without_an_agent(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path)]) == 1
    assert "holds no agent: give one that `mm-envs train` wrote" in _message(capsys)
    for folder in ("./no/such/folder", "nowhere"):
        assert main([command, folder]) == 1
        assert f"{folder} is neither a folder that `mm-envs train` wrote nor an id" in _message(capsys)


# Commands ---------------------------------------------------------------------------------------------


def test_list_scores_every_id(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_envs.tasks.caption.Caption.blind_items", 4)
    assert main(["list", "--json", "--items", "50"]) == 0
    entries = _json(capsys)
    assert [entry["id"] for entry in entries] == list(CONFIGURATIONS)
    for entry in entries:
        scores = {name: score["mean"] for name, score in entry["utility"].items()}
        assert scores["oracle"] >= 0.999, entry["id"]
        assert max(scores["blind"], scores["random"]) < scores["oracle"] - 0.15


def test_check_one_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", DIGITS, "--json", "--steps", "8"]) == 0
    report = _json(capsys)
    assert report["ok"]
    assert len(report["ids"][DIGITS]) == 8
    assert all(one["holds"] and not one["details"] for one in report["ids"][DIGITS])


def test_check_counts_warnings_as_failures() -> None:
    import warnings

    from mm_envs.engine.check.registered import strictly

    assert not strictly("a checker", lambda: warnings.warn("odd", stacklevel=1)).holds
    assert not strictly("a checker", lambda: 1 / 0).holds
    assert strictly("a checker", lambda: None).holds


def test_what_a_command_sets_for_itself_is_put_back(tmp_path: Path) -> None:
    import gymnasium as gym
    import torch

    from mm_envs.cli.threads import torch_threads
    from mm_envs.engine.check.registered import strictly

    before, level = torch.get_num_threads(), gym.logger.min_level
    gym.logger.min_level = gym.logger.ERROR
    try:
        assert not strictly("a checker", lambda: gym.logger.warn("odd")).holds
        assert not strictly("a checker", lambda: 1 / 0).holds
        assert gym.logger.min_level == gym.logger.ERROR
        with torch_threads(before + 1):
            # Training and checking have threads of their own choice.
            options = Train(DIGITS, tmp_path, steps=32, num_envs=8, threads=1, eval_episodes=0)
            assert options.run() == 0
            assert torch.get_num_threads() == before + 1
            with torch_threads(0):
                assert torch.get_num_threads() == before + 1
            assert main(["check", DIGITS, "--steps", "0"]) == 1
            assert torch.get_num_threads() == before + 1
        assert torch.get_num_threads() == before
    finally:
        gym.logger.min_level = level


def test_training_writes_its_folder(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"agent", "options.json", "run.json", "metrics.jsonl", "episodes.jsonl"} <= names
    assert {"curve.csv", "curve.png", "tensorboard"} <= names
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert all(isinstance(one["loss"], float) for one in metrics)
    with (trained / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(set(steps))
    assert steps[-1] >= 600
    # With the truth as feedback, reward is utility.
    assert all(row["reward"] == row["utility"] for row in rows)
    with Image.open(trained / "curve.png") as picture:
        assert min(picture.size) > 300
    assert any((trained / "tensorboard").rglob("events.*"))


def test_the_summary_is_what_json_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = [
        DIGITS,
        "--steps",
        "128",
        "--num-envs",
        "32",
        "--eval-episodes",
        "32",
        "--json",
        "--algo",
        "sb3-a2c",
    ]
    assert main(["train", *words, "--out", str(out), "--set", "scale=6"]) == 0
    summary = _json(capsys)
    assert summary == json.loads((out / "run.json").read_text())
    assert summary["evaluation"]["policies"]["oracle"]["utility"]["mean"] == 1.0
    assert set(summary["evaluation"]["policies"]) == {"blind", "random", "trained", "oracle"}
    assert all(Path(path).exists() for path in summary["files"].values())
    # The argument of the environment was kept with the agent.
    assert setting_of(str(out)).make(1).single_observation_space["image"].shape == (1, 48, 48)


def test_an_interrupt_saves_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agents import run

    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "learn", interrupted)
    out = tmp_path / "run"
    assert main(["train", DIGITS, "--out", str(out), "--num-envs", "8", "--json"]) == 130
    assert _json(capsys)["interrupted"]
    assert setting_of(str(out)).policy() is not None


def test_evaluate_repeats_itself(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(trained), "--episodes", "100", "--json"]
    assert main(words) == 0
    first = _json(capsys)
    assert main(words) == 0
    assert _json(capsys) == first
    policies = first["policies"]
    for name, one in policies.items():
        assert one["utility"]["low"] <= one["utility"]["mean"] <= one["utility"]["high"], name
        # The agent was trained on the truth, and its environment is made with it again.
        assert one["utility"] == one["reward"]


def test_play_writes_a_sheet_and_a_page(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["play", str(trained), "--episodes", "5", "--out", str(tmp_path), "--json"]) == 0
    message = _json(capsys)
    assert message["policy"] == "agent"
    with Image.open(message["files"]["contact sheet"]) as sheet:
        assert sheet.width > sheet.height / 2
    text = Path(message["files"]["page"]).read_text()
    assert text.count("<article>") == 5
    assert text.count("data:image/png;base64,") == 5
    external = [uri for uri in re.findall(r'(?:src|href)="([^"]*)', text) if not uri.startswith("data:")]
    assert not external


@pytest.mark.parametrize("policy", ["random", "oracle", "blind"])
def test_an_id_is_played_without_an_agent(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["play", "MMVQA-sound-v0", "--policy", policy, "--episodes", "3", "--json"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    message = _json(capsys)
    assert policy != "oracle" or message["utility"] == 1.0
    text = Path(message["files"]["page"]).read_text()
    assert text.count("data:audio/wav;base64,") == 3
    assert text.count("<dt>question</dt>") == 3


def test_an_id_has_no_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", DIGITS, "--policy", "agent"]) == 1
    assert "no trained agent" in _message(capsys)


def test_bench_is_handed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "throughput", "--threads", "0"]) == 1
    assert "--threads 0 is below 1" in _message(capsys)
