from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from benchmarks.experiment import Cell, Context, Finding
from benchmarks.experiments.store_faults import EXPERIMENT, notes, tables
from benchmarks.experiments.store_faults.cases import STORE, Case, tried
from benchmarks.experiments.store_faults.examples import ITEMS, batch_of, label
from benchmarks.experiments.store_faults.writers import WRITING, Killed, _look
from benchmarks.report import Measurement
from feedback.store import PreferenceStore


@pytest.mark.slow
def test_the_quick_cells_find_nothing_wrong(tmp_path: Path) -> None:
    findings = EXPERIMENT.run(tmp_path, Context(), quick=True)
    report = EXPERIMENT.report(findings, "")
    assert [len(table.rows) for table in report.tables] == [3, 1, 4]
    assert [row[4:] for row in report.tables[0].rows] == [("0",) * 4] * 3
    assert report.tables[1].rows[0][2:4] == ("yes", "0")
    assert all(row[2] == row[3] for row in report.tables[2].rows)
    assert len(report.notes) == 2


def stored(file: Path, *batches: int) -> None:
    with PreferenceStore(file) as store:
        store.add_items(ITEMS)
        for batch in batches:
            store.add(batch_of("writer", batch))


def test_what_is_lost_or_torn_is_seen(tmp_path: Path) -> None:
    def look(name: str, acknowledged: int) -> Killed:
        return _look(tmp_path / name, "writer", acknowledged, WRITING)

    stored(tmp_path / "a.db", 0, 1)
    # The media of the first batch are missing.
    assert look("a.db", 2).lost == 1
    stored(tmp_path / "b.db", 0)
    assert look("b.db", 2).lost == len(batch_of("writer", 1)) + 1
    stored(tmp_path / "c.db")
    with PreferenceStore(tmp_path / "c.db") as store:
        store.add(batch_of("writer", 0)[:1])
    torn = look("c.db", 0)
    assert (torn.torn, torn.unacknowledged, torn.sound) == (1, 1, False)
    (tmp_path / "d.db").write_bytes(b"no database" * 100)
    assert look("d.db", 0).faults == 1


@pytest.mark.parametrize(
    ("act", "sentence", "wrong"),
    [
        (lambda *_: None, "is refused", "no error"),
        (lambda *_: label("ann", 0, "left"), "choice='right'", "another sentence: "),
        (lambda *_: label("ann", 0, "left"), "", "the error "),
        (lambda *_: {}["key"], "key", "KeyError: "),
        (lambda folder, _: stored(folder / STORE, 0), "", "the store has changed"),
    ],
)
def test_a_fault_that_goes_wrong_is_seen(tmp_path: Path, act: object, sentence: str, wrong: str) -> None:
    assert tried(Case("submissions", "test", act, sentence), tmp_path, Random(0)).startswith(wrong)


def test_a_wrong_case_is_counted_and_noted() -> None:
    cases = [
        {"group": "media", "kind": kind, "wrong": wrong} for kind, wrong in (("a", ""), ("b", "no error"))
    ]
    finding = Finding(Cell("f:faults", {}, 0), cases, Measurement("2026-01-01", "abc", {}))
    findings = {"faults": [finding], "killed": [], "at_once": []}
    assert tables(findings)[2].rows[-1] == ("media", "2", "2", "1")
    assert notes(findings)[-1] == "media, b: no error"
