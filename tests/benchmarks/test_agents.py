"""Agents on feedback and on truth: what a cell measures, and the table."""

from __future__ import annotations

from benchmarks.agents import EXPERIMENT, FEEDBACKS, tables, trained
from benchmarks.experiment import Cell, Context, Finding
from benchmarks.report import Measurement
from mm_envs.statistics import mean_interval

NOWHERE = Measurement("2026-01-01", "abc", {})


def test_a_cell_shows_every_test_item_once() -> None:
    given = {**EXPERIMENT.grids[0].arguments, "steps": 256, "num_envs": 64}
    found = trained(Context(), seed=0, feedback="truth", **given)
    assert found["items"] == 294
    assert 0 <= found["utility"] <= 1


def test_quotients_are_taken_seed_by_seed() -> None:
    given = dict(EXPERIMENT.grids[0].arguments)
    values = {FEEDBACKS[0]: [0.9, 0.5], FEEDBACKS[1]: [1.0, 0.5]}
    findings = [
        Finding(Cell("f", {**given, "feedback": name}, seed), {"utility": value, "items": 294}, NOWHERE)
        for name, several in values.items()
        for seed, value in enumerate(several)
    ]
    (table,) = tables({"trained": findings})
    assert len(table.rows) == 3
    assert table.rows[-1][1:] == (str(mean_interval([0.9, 1.0])), "2", "truth")
    assert "80,000 steps, 294 held-out items" in table.title
