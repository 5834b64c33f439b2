"""Agents made smaller and explained: what a cell measures, and the tables."""

from __future__ import annotations

import pytest

from benchmarks.experiment import Cell, Context, Finding, Grid
from benchmarks.experiments.agents_examined import EXPERIMENT, examined, tables
from benchmarks.report import Measurement


@pytest.mark.slow
def test_a_trained_agent_is_made_smaller_and_explained() -> None:
    grid: Grid = EXPERIMENT.grids[0]
    cell = next(iter(grid.cells(quick=True)))
    result = examined(Context(), seed=0, **cell.arguments)
    assert [one["how"] for one in result["policies"]] == ["before", "int8", "prune", "distil", "onnx"]
    assert result["policies"][4]["same_answers"] == 1
    assert set(result["explanation"]["shapley"]["utility"]["shapley"]) == {"image", "question"}
    findings = [Finding(cell, result, Measurement("2026-01-01", "abc", {}))] * 2
    small, shapley, attention = tables({"examined": findings})
    assert [row[1] for row in small.rows] == ["before", "int8", "prune", "distil", "onnx"]
    assert small.rows[0][4:6] == ("1.00", "1.00")
    assert [row[1] for row in shapley.rows] == ["image", "question"]
    assert attention.rows[0][0] == "MMVQA-v0"
    before, student = (int(small.rows[row][2].replace(",", "")) for row in (0, 3))
    assert student <= before / 4


def test_an_agent_without_attention_is_left_out_of_its_table() -> None:
    policy = {"how": "before", "nonzero": 1, "bytes": 1000, "latency_ms": {"1": 1.0, "256": 2.0}}
    policy |= {"utility": {"mean": 0.5}, "same_answers": 1.0}
    explanation = {"shapley": {"utility": {"shapley": {"image": {"mean": 0.5}}}}, "grounding": None}
    finding = Finding(
        Cell("f:examined", {"id": "MMCaption-v0"}, 0),
        {"policies": [policy], "explanation": explanation},
        Measurement("2026-01-01", "abc", {}),
    )
    assert [len(one.rows) for one in tables({"examined": [finding]})] == [1, 1, 0]
