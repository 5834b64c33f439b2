"""The comparison of feedback and truth: what it reports is what it measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.agents import agents


def test_it_reports_every_seed_and_the_share_seed_by_seed() -> None:
    said: list[str] = []
    report = agents(seeds=range(2), steps=512, num_envs=64, progress=said.append)
    rater, truth = report.runs
    assert (rater.feedback, truth.feedback) == ("rater", "truth")
    assert len(rater.utility) == len(truth.utility) == 2
    assert len(said) == 4
    shares = np.array(rater.utility) / np.array(truth.utility)
    assert report.share.mean == pytest.approx(shares.mean())
    assert report.items == 294
    # So short a training reaches nothing.
    assert not report.met
    assert report.to_dict()["met"] is False
    assert len(report.tables()[0].rows) == 3


def test_unknown_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="id='MMSmell-v0' is not one of MMClassify-v0"):
        agents("MMSmell-v0")
