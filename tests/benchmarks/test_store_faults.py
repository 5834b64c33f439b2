from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from bench_options import QuickOptions

from benchmarks.store_faults import _report, bench
from benchmarks.store_faults.cases import Case, cases, tried
from benchmarks.store_faults.examples import ITEMS, batch_of, label
from benchmarks.store_faults.writers import WRITING, Killed, _look
from feedback.store import PreferenceStore


@pytest.mark.slow
def test_the_quick_bench_finds_nothing_wrong() -> None:
    report = bench(QuickOptions(), lambda said: None)
    assert report.met, report.said
    assert [len(table.rows) for table in report.tables()] == [4, 1, 4]
    assert report.values["faults"]["tried"] > 60
    assert sum(one["kills"] for one in report.values["kills"].values()) == 10


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
        (lambda folder, _: stored(folder / "said.db", 0), "", "the store has changed"),
    ],
)
def test_a_fault_that_goes_wrong_is_seen(tmp_path: Path, act: object, sentence: str, wrong: str) -> None:
    assert tried(Case("submissions", "test", act, sentence), tmp_path, Random(0)).startswith(wrong)


def test_the_report_says_what_is_wrong() -> None:
    found = [(case, "") for case in cases(1)]
    assert _report({WRITING: Killed(kills=1)}, [], found).met
    assert not _report({WRITING: Killed(kills=1, lost=1)}, [], found).met
    bad = _report({WRITING: Killed(kills=1)}, [], [*found[1:], (replace(found[0][0], kind="x"), "no error")])
    assert not bad.met
    assert "submissions, x: no error" in bad.said
