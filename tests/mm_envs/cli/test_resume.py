"""``mm-envs train`` is stopped, killed and resumed; whose data has moved; what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from mm_envs.__main__ import main
from mm_envs.cli.progress import Watch

DIGITS = "MMClassify-digits-v0"
WORDS = [
    "--algo",
    "sb3-a2c",
    "--num-envs",
    "16",
    "--steps",
    "512",
    "--eval-episodes",
    "32",
    "--seed",
    "3",
    "--threads",
    "1",
]


def printed_text(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def results(out: Path) -> dict[str, Any]:
    """What a training leaves, but for times and paths."""
    run = json.loads((out / "run.json").read_text())
    own = {"out", "seconds", "files"}
    return {
        "weights": {k: v.tolist() for k, v in load_file(str(out / "agent/policy.safetensors")).items()},
        "curve": (out / "curve.csv").read_bytes(),
        "metrics": (out / "metrics.jsonl").read_bytes(),
        "episodes": (out / "episodes.jsonl").read_bytes(),
        "run": {name: value for name, value in run.items() if name not in own},
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was not stopped."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    assert main(["train", DIGITS, *WORDS, "--out", str(out)]) == 0
    return out


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, *signals: signal.Signals) -> None:
    """Sends signals to this process when a training has come so far."""

    def watched(self: Watch, point: Any) -> None:
        if point.step >= step:
            for number in signals:
                signal.raise_signal(number)

    monkeypatch.setattr(Watch, "__call__", watched)


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training that was stopped half-way."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, 256, signal.SIGINT)
        assert main(["train", DIGITS, *WORDS, "--out", str(out)]) == 130
    return out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_how_to_go_on_and_does(
    tmp_path: Path,
    unbroken: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, before = tmp_path / "the run", signal.getsignal(number)
    with monkeypatch.context() as patch:
        stop_at(patch, 256, number)
        assert main(["train", DIGITS, *WORDS, "--out", str(out)]) == 130
    assert signal.getsignal(number) is before
    words = " ".join("".join(capfd.readouterr()).split())
    assert f"stopping after this update (again: at once); go on with: mm-envs train --resume '{out}'" in words
    assert "stopped after 256 steps" in words
    run = json.loads((out / "run.json").read_text())
    assert run["interrupted"]
    assert run["resume_command"] == f"mm-envs train --resume '{out}'"
    assert main(["train", "--resume", str(out)]) == 0
    assert results(out) == results(unbroken)
    assert not (out / "checkpoints").exists()


def test_the_second_interrupt_quits_at_once(
    tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, 256, signal.SIGINT, signal.SIGINT)
        assert main(["train", DIGITS, *WORDS, "--out", str(out), "--checkpoint-seconds", "0"]) == 130
    assert "interrupted" in capfd.readouterr().err
    assert not (out / "run.json").exists()
    assert main(["train", "--resume", str(out)]) == 0
    assert results(out) == results(unbroken)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--steps", "600"],
            "--steps 600 is not the 512 .* on which its learning rate depends: leave it out",
        ),
        (["--steps", "100000"], "--steps 100000 is not the 512"),
        (
            ["--seed", "0"],
            "--seed 0 is not the 3 that the training in .* was begun with: leave it out, or train",
        ),
        (["--algo", "ppo"], "--algo ppo is not the sb3-a2c"),
        (["MMVQA-v0"], "ID MMVQA-v0 is not the MMClassify-digits-v0"),
        (["--set", "scale=6"], r"--set \['scale=6'\] is not the \[\]"),
        (["--feedback", "truth"], "--feedback truth is not the annotator"),
        (["--overwrite"], "--overwrite does not go with --resume"),
        (["--out", "elsewhere"], "--out elsewhere does not go with --resume"),
        (["--data", "."], "the agent was trained on 'digits', which has no folder"),
        (["--checkpoint-seconds", "-1"], "--checkpoint-seconds -1.0 is below 0"),
    ],
)
def test_options_that_are_not_those_of_the_training_are_refused(
    stopped: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    assert main(["train", *words, "--resume", str(stopped)]) == 1
    assert re.search(expected, printed_text(capsys))
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_options_that_are_those_of_the_training_are_taken(stopped: Path, unbroken: Path) -> None:
    words = [DIGITS, *WORDS, "--feedback", "annotator", "--out", str(stopped), "--checkpoint-seconds", "3"]
    assert main(["train", *words, "--resume", str(stopped)]) == 0
    assert results(stopped) == results(unbroken)


def test_what_cannot_be_resumed_is_reported(
    tmp_path: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, expected in (
        (["--resume", str(unbroken)], "is finished: evaluate it with mm-envs evaluate"),
        (["--resume", str(tmp_path / "no")], "is no folder: give the --out of a training that has begun"),
        (["--resume", str(tmp_path)], "holds no checkpoint"),
        ([], "ID is missing: mm-envs train ID --out FOLDER, or mm-envs train --resume FOLDER"),
        ([DIGITS], "--out is missing"),
    ):
        # Without --resume the words are no command at all.
        assert main(["train", *words]) == (1 if "--resume" in words else 2)
        assert expected in printed_text(capsys)


def test_a_new_training_in_the_folder_forgets_the_old_one(stopped: Path, unbroken: Path) -> None:
    assert main(["train", DIGITS, *WORDS, "--out", str(stopped), "--overwrite"]) == 0
    assert results(stopped) == results(unbroken)


def test_an_untrusted_checkpoint_runs_nothing(
    stopped: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.system", lambda command: pytest.fail("a command of the file was run"))
    options = stopped / "options.json"
    goods = {path: path.read_text() for path in [*(stopped / "checkpoints").glob("*.json"), options]}

    def changed(path: Path, change: Callable[[Any], Any]) -> None:
        """Changes the options, or every checkpoint."""
        for one, good in goods.items():
            whole = json.loads(good)
            if (one == options) == (path == options):
                change(whole)
            one.write_text(json.dumps(whole))

    def environment(checkpoint: Any) -> Any:
        return checkpoint["training"]["environment"]

    checkpoint = next(path for path in goods if path != options)
    for path, change, expected in (
        (
            checkpoint,
            lambda one: one["training"]["environment"]["kwargs"].update(feedback="os:system"),
            "os:system",
        ),
        (
            checkpoint,
            lambda one: one["training"]["environment"]["kwargs"].update(dataset="os:system"),
            "os:system",
        ),
        (checkpoint, lambda one: one["training"]["environment"].update(id="os:system"), "os:system"),
        (checkpoint, lambda one: one["training"]["settings"].update(gamma="os:system"), "is not a number"),
        (checkpoint, lambda one: one["training"]["policy"].update(more=1), "has no argument 'more'"),
        (checkpoint, lambda one: one.pop("training"), "does not say how its training was begun"),
        (options, lambda one: one.update(steps="many"), "was begun (steps='many')"),
        (options, lambda one: one.update(algo="os:system"), "algo='os:system' is not one of sft"),
    ):
        changed(path, change)
        assert main(["train", "--resume", str(stopped)]) == 1
        assert expected in printed_text(capsys)
    # The words after --set are kept in the summary only: the environment comes from what was checked.
    changed(options, lambda one: one.update(set=["task=os:system"]))
    assert main(["train", "--resume", str(stopped)]) == 0
    assert results(stopped)["weights"] == results(unbroken)["weights"]


# Data of one's own ---------------------------------------------------------------------------------------


def pictures(folder: Path, seed: int = 0) -> Path:
    """Forty little pictures, dark or bright."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    lines = ["file_name,label"]
    for i in range(40):
        pixels = rng.integers(0, 90, (40, 40), dtype=np.uint8) + np.uint8(160 * (i % 2))
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
        lines.append(f"{i:02}.png,{('dark', 'bright')[i % 2]}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_data_is_found_again_where_it_was_moved_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out, whole = pictures(tmp_path / "data"), tmp_path / "run", tmp_path / "whole"
    words = ["train", "MMClassify-v0", *WORDS, "--data", str(data)]
    assert main([*words, "--out", str(whole)]) == 0
    with monkeypatch.context() as patch:
        stop_at(patch, 256, signal.SIGINT)
        assert main([*words, "--out", str(out)]) == 130
    moved = tmp_path / "elsewhere"
    shutil.move(data, moved)
    capsys.readouterr()
    for command in (["train", "--resume"], ["evaluate"], ["play"]):
        assert main([*command, str(out)]) == 1
        assert "does not exist: say where with --data FOLDER" in printed_text(capsys)
    other = pictures(tmp_path / "other", seed=1)
    assert main(["train", "--resume", str(out), "--data", str(other)]) == 1
    assert "dataset fingerprint of the environment was" in printed_text(capsys)
    assert main(["train", "--resume", str(out), "--data", str(moved)]) == 0
    one, two = results(out), results(whole)
    assert one["weights"] == two["weights"]
    assert one["curve"] == two["curve"]
    assert main(["evaluate", str(out), "--data", str(moved), "--episodes", "4"]) == 0
    assert "other items" not in printed_text(capsys)
    with pytest.warns(UserWarning, match="the agent was trained on other items"):
        assert main(["evaluate", str(out), "--data", str(other), "--episodes", "4"]) == 0
    assert main(["play", str(out), "--data", str(moved), "--episodes", "2"]) == 0


def test_wrong_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    for words, expected in (
        (["--data", str(tmp_path / "no")], "no does not exist: give the folder that holds the files"),
        (["--data", ".", "--set", "dataset=digits"], "exclude each other: give one"),
        (["--data", ".", "--set", "path=x"], "exclude each other: give one"),
        (["--layout", "coco"], "--layout coco says how to read the folder of --data, which is missing"),
    ):
        assert main(["train", "MMClassify-v0", "--out", str(out), *words]) == 1
        assert expected in printed_text(capsys)
        assert not out.exists()
