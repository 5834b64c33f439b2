"""Killed and unbroken trainings: what is compared, and that it runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.experiment import Cell, Context, Finding
from benchmarks.experiments.crash_recovery import EXPERIMENT, Trial, differences, notes, tables
from benchmarks.report import Measurement


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of equal trainings."""
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "agent").mkdir(parents=True)
    save_file({"weight": torch.arange(4.0)}, str(one / "agent" / "policy.safetensors"))
    (one / "curve.csv").write_text("step,reward,utility\n1,0.5,0.25\n")
    run = {"evaluation": {"trained": 0.5}, "final": None, "steps": 1, "interrupted": False}
    (one / "run.json").write_text(json.dumps(run))
    shutil.copytree(one, other)
    return one, other


def test_the_last_bit_of_a_weight_is_compared(folders: tuple[Path, Path]) -> None:
    assert differences(*folders) == ()
    path = str(folders[1] / "agent" / "policy.safetensors")
    weights = load_file(path)
    weights["weight"].view(torch.int32)[2] ^= 1
    save_file(weights, path)
    assert differences(*folders) == ("weights",)


def test_curves_and_evaluations_are_compared(folders: tuple[Path, Path]) -> None:
    (folders[1] / "curve.csv").write_text("step,reward,utility\n1,0.5,0.26\n")
    run = json.loads((folders[1] / "run.json").read_text())
    (folders[1] / "run.json").write_text(json.dumps({**run, "evaluation": {"trained": 0.6}}))
    assert differences(*folders) == ("curve", "evaluation")


def finding(algo: str, count: int = 1, differing: tuple[str, ...] = ()) -> Finding:
    result = {"killed": count, "torn": 0, "differing": list(differing)}
    return Finding(Cell("f:killed", {"algo": algo}, 0), result, Measurement("2026-01-01", "abc", {}))


def test_the_table_counts_and_notes_name_what_differs() -> None:
    found = {"killed": [finding("sb3-ppo"), finding("sb3-dqn", 2, ("weights",))]}
    (table,) = tables(found)
    assert table.rows == [
        ("sb3-ppo", "1", "1", "0", "1"),
        ("sb3-dqn", "1", "2", "0", "0"),
        ("all", "2", "3", "0", "1"),
    ]
    assert notes(found) == ["killed, algo sb3-dqn, seed 0 differs in weights."]


def test_moments_are_seeded() -> None:
    trials = [Trial.drawn("sb3-ppo", seed) for seed in range(50)]
    assert trials == [Trial.drawn("sb3-ppo", seed) for seed in range(50)]
    assert all(0.0 <= one.moment < 0.95 for one in trials)
    assert sum(one.writing for one in trials) == 10
    assert 5 < sum(one.again is not None for one in trials) < 25


@pytest.mark.slow
def test_two_trainings_are_killed_and_go_on_to_the_same_end(tmp_path: Path) -> None:
    found = EXPERIMENT.run(tmp_path, Context(), quick=True)
    assert [one.result["differing"] for one in found] == [[], []]
    assert all(one.result["killed"] for one in found)
