"""The comparison of feedback and truth: what it reports is what it measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.evaluate import Estimate
from benchmarks.agents import AgentsReport, Runs, agents
from benchmarks.machine import Calibration, Machine
from benchmarks.numbers import agents_lines


def test_it_reports_every_seed_and_the_share_seed_by_seed() -> None:
    said: list[str] = []
    report = agents(seeds=range(2), steps=512, num_envs=64, progress=said.append)
    annotator, truth = report.runs
    assert (annotator.feedback, truth.feedback) == ("annotator", "truth")
    assert len(annotator.utility) == len(truth.utility) == 2
    assert len(said) == 4
    shares = np.array(annotator.utility) / np.array(truth.utility)
    assert report.share.mean == pytest.approx(shares.mean())
    assert report.items == 294
    # So short a training reaches nothing.
    assert not report.met
    assert report.to_dict()["met"] is False
    assert len(report.tables()[0].rows) == 3
    assert report.to_dict()["busy"] == list(report.busy)


def test_a_busy_machine_is_said() -> None:
    machine, share = Machine("one", 2, "a system", "3.11", {"torch": "2"}), Estimate(1.0, 1.0, 1.0)
    runs = tuple(Runs(feedback, (0.99, 0.98)) for feedback in ("annotator", "truth"))
    quiet = AgentsReport("MMClassify-digits-v0", "ppo", 512, 294, runs, share, machine)
    assert len(quiet.lines()) == 1
    reasons = Calibration(load=1e6).reasons()
    busy = replace(quiet, busy=tuple(reasons))
    assert busy.lines() == [*quiet.lines(), f"BUSY MACHINE: {reasons[0]}"]
    said = agents_lines({"found": busy.to_dict()})
    assert said == [*agents_lines({"found": quiet.to_dict()}), "", f"Busy machine: {reasons[0]}."]


def test_unknown_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="id='MMSmell-v0' is not one of MMClassify-v0"):
        agents("MMSmell-v0")
