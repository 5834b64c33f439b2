"""Killed trainings beside unbroken ones: what is compared, and that it all runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import kills


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
    assert kills.differences(*folders) == ()
    path = str(folders[1] / "agent" / "policy.safetensors")
    weights = load_file(path)
    weights["weight"].view(torch.int32)[2] ^= 1
    save_file(weights, path)
    assert kills.differences(*folders) == ("weights",)


def test_curves_and_evaluations_are_compared(folders: tuple[Path, Path]) -> None:
    (folders[1] / "curve.csv").write_text("step,reward,utility\n1,0.5,0.26\n")
    run = json.loads((folders[1] / "run.json").read_text())
    (folders[1] / "run.json").write_text(json.dumps({**run, "evaluation": {"trained": 0.6}}))
    assert kills.differences(*folders) == ("curve", "evaluation")


def outcome(algo: str, killed: int = 1, differing: tuple[str, ...] = ()) -> kills.Outcome:
    return kills.Outcome(kills.Trial(algo, 0.5, None, False, False), killed, 0, differing)


def test_the_target_is_that_all_were_killed_and_are_equal() -> None:
    assert kills._report([outcome("ppo"), outcome("dqn", 2)]).met
    assert not kills._report([outcome("ppo"), outcome("dqn", killed=0)]).met
    report = kills._report([outcome("ppo"), outcome("dqn", differing=("weights",))])
    assert not report.met
    assert any("differs in weights" in line for line in report.lines())
    assert report.values["all"] == {"trainings": 2, "kills": 2, "torn": 0, "typed": 0, "equal": 1}


def test_moments_are_seeded_and_both_algorithms_take_turns() -> None:
    trials = kills._trials(50, 4)
    assert trials == kills._trials(50, 4)
    assert [one.algo for one in trials[:4]] == ["ppo", "dqn", "ppo", "dqn"]
    assert all(0.0 <= one.moment < 0.95 for one in trials)
    assert sum(one.writing for one in trials) == 10
    assert {one.algo for one in trials if one.writing} == {"ppo", "dqn"}


@dataclass
class Quick:
    """Options that only show that everything runs."""

    quick: bool = True
    threads: int = 2

    def folder(self, name: str) -> Path:
        raise AssertionError(name)


@pytest.mark.slow
def test_two_trainings_are_killed_and_go_on_to_the_same_end() -> None:
    report = kills.bench(Quick(), lambda said: None)
    assert report.met
    assert report.values["all"]["kills"] >= 2
