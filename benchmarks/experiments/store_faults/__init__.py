"""The preference store under faults: no label is lost or counted twice, and errors are clear.

Writers are killed (SIGKILL, which no process can handle) while they write, make or migrate a store; eight
write at once to a store that none of them finds; and faults of submissions, files of JSON Lines, databases
and media are tried, each with the sentence that it has to raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.store_faults.cases import Case, cases, tried
from benchmarks.experiments.store_faults.writers import KINDS, WRITING, kill_writers, write_at_once
from benchmarks.report import Table

_PREFIX = "mm-envs-store-"
_COUNTS = ("killed", "acknowledged", "unacknowledged", "lost", "torn", "twice", "faults")
_GROUPS = ("submissions", "JSON Lines", "files", "media")


def killed(context: Context, seed: int, kind: str, count: int) -> dict[str, int]:
    """Kills writers one after another, and checks the store after each."""
    with TemporaryDirectory(prefix=_PREFIX) as folder:
        return asdict(kill_writers(count, Path(folder), kind, seed))


def at_once(context: Context, seed: int, writers: int, batches: int) -> dict[str, Any]:
    """Writers that write to one store at once."""
    with TemporaryDirectory(prefix=_PREFIX) as folder:
        return asdict(write_at_once(writers, batches, Path(folder) / "crowd.db"))


def faults(context: Context, seed: int, draws: int) -> list[dict[str, str]]:
    """Every fault; those with a random position ``draws`` times."""
    found = [(case, _tried(case, seed, number)) for number, case in enumerate(cases(draws))]
    return [{"group": case.group, "kind": case.kind, "wrong": why} for case, why in found]


def _tried(case: Case, seed: int, number: int) -> str:
    with TemporaryDirectory(prefix=_PREFIX) as folder:
        return tried(case, Path(folder), Random(f"{seed} {number} {case.kind}"))


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Writers killed, writers at once, faults."""
    return [_killed(findings["killed"]), _at_once(findings["at_once"]), _faults(findings["faults"])]


def _killed(findings: list[Finding]) -> Table:
    rows = [(one.cell.arguments["kind"], *(f"{one.result[name]:,}" for name in _COUNTS)) for one in findings]
    columns = ("while", "killed", "records", "in flight", "lost", "torn", "twice", "faults")
    return Table("Writers killed", columns, rows)


def _at_once(findings: list[Finding]) -> Table:
    rows = [
        (
            str(one.result["writers"]),
            f"{one.result['submitted']:,}",
            "yes" if one.result["right"] else "no",
            str(len(one.result["errors"]) + len(one.result["faults"])),
            f"{one.result['longest']:.2f}",
        )
        for one in findings
    ]
    columns = ("writers", "submitted", "each stored once", "errors", "longest wait (s)")
    return Table("Writers at once", columns, rows)


def _faults(findings: list[Finding]) -> Table:
    rows = []
    for group in _GROUPS:
        several = [case for one in findings for case in one.result if case["group"] == group]
        right = sum(not case["wrong"] for case in several)
        rows.append((group, str(len({case["kind"] for case in several})), str(len(several)), str(right)))
    return Table("Faults", ("group", "kinds", "tried", "the expected sentence, store unchanged"), rows)


def notes(findings: Mapping[str, list[Finding]]) -> list[str]:
    """Explanations, and what went wrong."""
    crowds = [error for one in findings["at_once"] for error in one.result["errors"] + one.result["faults"]]
    wrong = [case for one in findings["faults"] for case in one.result if case["wrong"]]
    return [
        "Records: acknowledged to the writer before it was killed. In flight: one more batch is stored that "
        "was not acknowledged, or a store was begun. Torn: batches stored in part. Twice: records counted as "
        "new when all is submitted again.",
        "A process is killed, not the machine: the database waits for the disk at every commit.",
        *crowds,
        *(f"{case['group']}, {case['kind']}: {case['wrong']}" for case in wrong),
    ]


EXPERIMENT = Experiment(
    "Faults of the preference store",
    "The store has to hold every record and file that was acknowledged, batches whole or not at "
    "all, and count "
    "nothing twice when all is submitted again.",
    (
        Grid(killed, {"kind": WRITING, "count": 160}, quick={"count": 6}),
        Grid(killed, {"count": 20}, {"kind": KINDS[1:]}, quick={"count": 2}),
        Grid(at_once, {"writers": 8, "batches": 40}, seeds=range(3), quick={"batches": 3}),
        Grid(faults, {"draws": 20}, quick={"draws": 1}),
    ),
    tables,
    notes,
)
