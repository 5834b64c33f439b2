"""The throughput benchmark runs, and its tables show what was found; speed itself is not tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.experiment import Context, Finding
from benchmarks.sides import Side, draw_actions, speed_table, take_turns
from benchmarks.throughput import EXPERIMENT, notes, quotients, scaling_table
from mm_envs.statistics import spread


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    folder: Path = tmp_path_factory.mktemp("cells")
    return EXPERIMENT.run(folder, Context(), quick=True)


def test_every_side_is_measured(findings: list[Finding]) -> None:
    race, scaling = (one.result for one in findings)
    names = [side["name"] for side in race["sides"]]
    assert names[:2] == ["mm-envs", "mm-envs, live buffers"]
    assert {"SyncVectorEnv", "DummyVecEnv"} <= set(names)
    assert all(len(side["speeds"]) == 2 and min(side["speeds"]) > 0 for side in race["sides"])
    assert {side["name"] for side in race["first_pass"]} == set(names[2:])
    assert scaling["observation_bytes"] == 16 * (3 * 64 * 64 + 8 * (12 + 1))
    report = EXPERIMENT.report(findings, "a command")
    assert [len(table.rows) for table in report.tables] == [2, len(names), 1, len(race["first_pass"])]


def test_what_was_left_out_is_noted(findings: list[Finding]) -> None:
    """At most four processes, and 4 and 16 rows."""
    race = findings[0].result
    measured = [side for side in race["first_pass"] if side["name"] == "AsyncVectorEnv"]
    if not measured:
        pytest.skip("AsyncVectorEnv runs only where processes can be forked")
    assert [side["rows"] for side in measured] == [4]
    (note,) = notes({"race": findings[:1]})
    assert note.startswith("AsyncVectorEnv was not measured with 16 rows: every row is a process")


def side(name: str, speed: float, fresh: bool) -> dict[str, object]:
    return {"name": name, "rows": 4, "fresh": fresh, "speeds": [speed, speed]}


def test_the_best_peer_makes_the_same_promise() -> None:
    ours = [side("ours", 60, True), side("ours, live", 90, False)]
    table = quotients([*ours, side("fresh", 10, True), side("live", 30, False)])
    assert [(row[1], row[3]) for row in table.rows] == [
        ("6.0 [6.0, 6.0]", "fresh, 4 rows"),
        ("3.0 [3.0, 3.0]", "live, 4 rows"),
    ]


def test_scaling_is_relative_to_the_least() -> None:
    found = [
        {"rows": rows, "speeds": [speed], "observation_bytes": 100, "memory_growth": growth}
        for rows, speed, growth in ((1, 1e6, None), (16, 4e6, 300))
    ]
    assert [row[1:3] + row[4:] for row in scaling_table(found).rows] == [
        ("1,000", "4.00", "unknown"),
        ("250", "1.00", "3.00"),
    ]


def test_speeds_are_medians_and_quartiles() -> None:
    table = speed_table("Speed", [{"name": "one", "rows": 2, "fresh": True, "speeds": [1, 2, 3, 4, 5]}])
    assert table.rows == [("one", "2", "3 (2 to 4)", "5")]
    assert spread([1, 2, 3, 4, 5]).median == 3


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
