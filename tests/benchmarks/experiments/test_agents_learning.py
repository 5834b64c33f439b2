"""What agents learn: what a cell measures, and the tables."""

from __future__ import annotations

from typing import Any

import pytest

from agents.tuned import TUNED
from benchmarks.experiment import Cell, Context, Finding
from benchmarks.experiments.agents_learning import EXPERIMENT, RATER, learned, notes, tables
from benchmarks.experiments.sets.spoken_digits import KNOWN, NEVER_HEARD
from benchmarks.report import Measurement
from mm_envs.tasks import CONFIGURATIONS

NOWHERE = Measurement("2026-01-01", "abc", {})


@pytest.mark.parametrize("algo", ["rloo", "sft"])
def test_a_cell_trains_and_scores_every_kind_of_question(algo: str) -> None:
    found = learned(Context(), seed=0, id="MMVQA-v0", algo=algo, feedback=RATER, share=0.002)
    assert found["items"] == 2048
    assert found["oracle"] == 1
    assert found["exact"] == found["utility"]
    assert found["score"] == pytest.approx((found["utility"] - found["blind"]) / (1 - found["blind"]))
    assert list(found["kinds"]) == ["existence", "count", "colour", "shape", "relation", "comparison"]
    assert found["seconds"] > 0
    assert found["steps"] >= 256


def test_every_environment_and_every_tuned_one_is_measured() -> None:
    cells = [cell for grid in EXPERIMENT.grids for cell in grid.cells()]
    measured = {one.arguments["id"] for one in cells if one.arguments.get("algo") == "rloo"}
    assert measured == set(CONFIGURATIONS) >= {id for id, _ in TUNED}


def finding(seed: int, score: float, algo: str = "rloo") -> Finding:
    cell = Cell("f:learned", {"id": "MMVQA-v0", "feedback": RATER, "algo": algo}, seed)
    same: dict[str, Any] = {"utility": 0.5, "blind": 0.4, "exact": 0.3, "steps": 64_000, "items": 2048}
    return Finding(
        cell, {**same, "score": score, "seconds": 10.0 + seed, "kinds": {"count": score / 2}}, NOWHERE
    )


def test_tables_have_interquartile_means_with_intervals() -> None:
    learning = [finding(seed, score) for seed, score in enumerate((0.0, 0.4, 0.5, 0.6, 1.0))]
    digits = [
        Finding(
            Cell("f:three_modalities", {}, seed),
            {"accuracy": {KNOWN: 0.9, NEVER_HEARD: 0.8}, "seconds": 1.0, "steps": 10},
            NOWHERE,
        )
        for seed in (0, 1)
    ]
    assert notes({"learned": learning}) == []
    assert "fewer than 5 seeds" in notes({"learned": learning[:4]})[0]
    found = tables({"learned": [*learning, finding(0, 0.7, "sft")], "three_modalities": digits})
    assert [len(one.rows) for one in found] == [1, 1, 2, 1]
    row = found[0].rows[0]
    assert row[:2] == ("MMVQA-v0", RATER)
    assert row[2].startswith("0.500 [")
    assert row[3:] == ("0.300 [0.300, 0.300]", "0.500", "0.400", "5", "12 s, 64,000", "2,048")
    assert found[1].rows[0][:2] == (f"MMVQA-v0, {RATER}", "count")
    assert found[1].rows[0][2].startswith("0.250 [")
    assert found[2].rows[1] == (NEVER_HEARD, "0.800 [0.800, 0.800]", "2", "1 s, 10")
    assert found[3].rows[0][2] == "0.700"
