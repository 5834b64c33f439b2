"""The throughput benchmark runs, and says what it found; how fast is no matter of a test."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.sides import Side, draw_actions
from benchmarks.statistics import Interval
from benchmarks.throughput import take_turns, throughput
from benchmarks.throughput_report import Comparison, ScaleResult, ThroughputReport


@pytest.fixture(scope="module")
def report() -> ThroughputReport:
    return throughput(quick=True, threads=1)


def test_every_side_is_measured(report: ThroughputReport) -> None:
    names = [side.name for side in report.sides]
    assert names[:2] == ["mm-envs", "mm-envs, live buffers"]
    assert {"SyncVectorEnv", "DummyVecEnv"} <= set(names)
    assert all(side.speed.median > 0 and side.speed.count == report.rounds for side in report.sides)
    assert {side.name for side in report.first_pass} == set(names[2:])


def test_what_was_left_out_is_said_with_what_was_measured(report: ThroughputReport) -> None:
    """Here four processes are the most, and 4 and 16 rows were asked for."""
    measured = [side for side in report.first_pass if side.name == "AsyncVectorEnv"]
    if not measured:
        pytest.skip("AsyncVectorEnv runs only where processes can be forked")
    assert [side.rows for side in measured] == [4]
    (note,) = report.notes
    assert note.startswith("AsyncVectorEnv was not measured with 16 rows, since every row is a process")
    assert f"measured were {measured[0].speed.median:,.0f} row-steps a second with 4 rows" in note
    assert note in report.lines()


def test_the_best_peer_is_the_quickest_that_keeps_the_same_promise(report: ThroughputReport) -> None:
    for comparison, fresh in zip(report.comparisons, (True, False), strict=True):
        allowed = [side for side in report.sides[2:] if side.fresh or not fresh]
        best = max(allowed, key=lambda side: side.speed.median)
        assert comparison.peer.startswith(best.name)
        ours = next(side for side in report.sides if side.name == comparison.name)
        assert comparison.ratio.value == pytest.approx(ours.speed.median / best.speed.median)


def test_scaling_is_relative_to_the_least(report: ThroughputReport) -> None:
    assert min(result.quickest for result in report.scaling) == 1.0
    per_row = {result.observation_bytes / result.rows for result in report.scaling}
    assert per_row == {3 * 64 * 64 + 8 * (12 + 1)}


def test_report_is_json_and_tables(report: ThroughputReport) -> None:
    assert json.loads(json.dumps(report.to_dict()))["comparisons"][0]["target"] == 6.0
    for table in report.tables():
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert any("1 torch threads" in line for line in report.lines())


def _scaled(rows: int, nanoseconds: float, quickest: float, buffers: float = 2.0) -> ScaleResult:
    return ScaleResult(rows, nanoseconds, quickest, 1000, int(1000 * buffers))


def test_targets_of_scaling(report: ThroughputReport) -> None:
    small = _scaled(256, 500.0, 1.25)
    good = replace(report, scaling=[small, _scaled(16384, 450.0, 1.1), _scaled(65536, 500.0, 1.25)])
    assert (good.scaling_met, good.memory_met) == (True, True)
    slower = replace(report, scaling=[small, _scaled(16384, 501.0, 1.3)])
    assert slower.scaling_met is False
    twice = replace(report, scaling=[_scaled(256, 5000.0, 3.0), _scaled(16384, 4000.0, 2.1)])
    assert twice.scaling_met is False
    assert replace(report, scaling=[small, _scaled(16384, 450.0, 1.1, buffers=9.0)]).memory_met is False
    assert report.scaling_met is None


def test_a_ratio_below_its_target_is_missed() -> None:
    assert Comparison("ours", "theirs", Interval(6.0, 5.0, 7.0), 6.0, 8.0).met
    assert not Comparison("ours", "theirs", Interval(5.9, 5.0, 7.0), 6.0, 8.0).met


def test_turns_alternate() -> None:
    order: list[str] = []
    sides = [Side(name, 1, True, lambda _, name=name: order.append(name), [0]) for name in "ab"]
    speeds = take_turns(sides, 3, 0.0, lambda: order.append("|"))
    assert "".join(order) == "ab|ab|ba|ab"
    assert [len(turns) for turns in speeds] == [3, 3]


def test_actions_are_uniform_words_and_bounded_in_memory() -> None:
    actions = draw_actions(20, 1024, np.random.default_rng(0))
    counts = np.bincount(actions.ravel(), minlength=20)
    assert len(counts) == 20
    assert abs(counts - actions.size / 20).max() < 5 * np.sqrt(actions.size / 20)
    assert draw_actions(20, 1 << 16, np.random.default_rng(0)).nbytes <= 8 << 20
