"""``mm-envs evaluate --best-of``: one table, exact for choices and from draws for words."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import pytest

from agents.agent_folder import save
from agents.losses import best_of_n_kl_bound
from agents.trainers import make_trainer
from mm_envs.__main__ import main

DIGITS = "MMClassify-digits-v0"


@pytest.mark.parametrize(("name", "exact"), [(DIGITS, True), ("MMVQA-tokens-v0", False)])
def test_a_table(name: str, exact: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    envs = gym.make_vec(name, num_envs=2, feedback="truth")
    save(make_trainer("sft", envs, features=16, hidden=16), tmp_path)
    words = ["evaluate", str(tmp_path), "--episodes", "64", "--best-of", "6"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["n"] for one in found["best_of"]] == [1, 2, 4, 6]
    assert found["episodes"] == 64
    for one in found["best_of"]:
        # The feedback is the truth.
        assert one["reward"] == pytest.approx(one["utility"], abs=1e-5)
        assert one["kl_bound"] == pytest.approx(best_of_n_kl_bound(one["n"]))
        assert (one["kl"] is not None) == exact
    utilities = [one["utility"] for one in found["best_of"]]
    assert utilities == sorted(utilities)
    assert main(words) == 0
    assert "log n - (n-1)/n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([DIGITS, "--best-of", "4"], "--best-of 4 draws answers of an agent: give a folder"),
        ([DIGITS, "--best-of", "0"], "--best-of 0 is below 1"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *words]) == 1
    assert fault in " ".join(capsys.readouterr().err.split())
