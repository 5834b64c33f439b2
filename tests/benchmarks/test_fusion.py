"""Fusions compared: what a cell measures, and the table."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.fusion import FUSIONS
from benchmarks.experiment import Cell, Context, Finding
from benchmarks.fusion import EXPERIMENT, IDS, learned, tables
from benchmarks.report import Measurement
from mm_envs.__main__ import main
from mm_envs.statistics import mean_interval

NOWHERE = Measurement("2026-01-01", "abc", {})
SMALL = {"steps": 48, "items": 32, "features": 8, "test": 24}


@pytest.mark.parametrize(("id", "fusion"), [("MMVQA-v0", "film"), ("MMCaption-v0", "cross_attention")])
def test_a_cell_trains_for_whole_epochs_and_scores_test_items(id: str, fusion: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = learned(Context(), seed=0, id=id, fusion=fusion, **SMALL)
    torch.set_num_threads(threads)
    assert found["steps"] == 64
    assert found["items"] == 24
    assert found["oracle"] == 1
    assert 0 < found["blind"] < 1
    assert found["score"] == pytest.approx((found["utility"] - found["blind"]) / (1 - found["blind"]))
    assert found["rate"] > 0
    assert found["parameters"] > 1000


def test_an_unknown_fusion_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="fusion='concatt' is not one of concat"):
        learned(Context(), seed=0, id="MMVQA-v0", fusion="concatt", **SMALL)


def test_every_fusion_is_measured_on_every_environment() -> None:
    cells = list(EXPERIMENT.grids[0].cells())
    assert {(one.arguments["id"], one.arguments["fusion"]) for one in cells} == {
        (id, fusion) for id in IDS for fusion in FUSIONS
    }
    assert len(cells) == len(IDS) * len(FUSIONS) * 2


def test_a_table_has_the_best_fusion_first_with_its_interval() -> None:
    scores = {"mean": [0.1, 0.3], "film": [0.5, 0.7]}
    same = {"rate": 1000.0, "parameters": 12_000, "steps": 64, "items": 24, "blind": 0.4, "oracle": 1.0}
    findings = [
        Finding(Cell("f:learned", {"id": id, "fusion": fusion}, seed), {**same, "score": score}, NOWHERE)
        for id in IDS[:2]
        for fusion, several in scores.items()
        for seed, score in enumerate(several)
    ]
    several = tables({"learned": findings})
    assert [one.title.partition(",")[0] for one in several] == list(IDS[:2])
    for one in several:
        assert [row[0] for row in one.rows] == ["film", "mean"]
        assert one.rows[0][1:] == (str(mean_interval([0.5, 0.7])), "2", "1,000", "12,000")


def test_the_command_measures_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "fusion", "--quick", "--threads", "1", "--out", str(tmp_path), "--steps", "16"]
    assert main([*words, "--fusions", "mean", "late", "--ids", "MMClassify-digits-v0"]) == 0
    shown = capsys.readouterr().out
    assert "MMClassify-digits-v0" in shown
    assert "late" in shown
    assert len(list(tmp_path.glob("learned-*.json"))) == 2
    assert main(["bench", "throughput", "--quick", "--fusions", "mean"]) == 1
    assert "fusion is no argument of this experiment" in capsys.readouterr().err
