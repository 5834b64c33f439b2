"""The preference store under faults: is anything lost, or counted twice, are errors clear?

Writers are killed (SIGKILL, which no process can notice) while they write, make or migrate a store; eight
write at once to a store that none of them finds; and everything that can be wrong with submissions, files of
JSON Lines, databases and media is tried, with the sentence compared that each has to end in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.reports import Options, Report, Table
from benchmarks.store_faults.cases import Case, cases, tried
from benchmarks.store_faults.writers import Crowd, Killed, kill_writers, write_at_once

_SEED, _KILLS, _WRITERS, _CROWDS, _BATCHES, _DRAWS = 0, 200, 8, 3, 40, 20


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """Kills writers, lets eight write at once, and tries every fault.

    Args:
        options: With ``quick``, few of each.
        progress: Told what is being done.
    """
    kills, crowds, batches, draws = (10, 1, 3, 1) if options.quick else (_KILLS, _CROWDS, _BATCHES, _DRAWS)
    with TemporaryDirectory(prefix="mm-envs-store-") as folder:
        root = Path(folder)
        killed = kill_writers(kills, root, _SEED, progress)
        progress(f"{_WRITERS} writers at once")
        crowd = [write_at_once(_WRITERS, batches, root / f"crowd-{number}.db") for number in range(crowds)]
    progress("faults")
    found = [(case, _try(case, number)) for number, case in enumerate(cases(draws))]
    return _report(killed, crowd, found)


def _try(case: Case, number: int) -> str:
    with TemporaryDirectory(prefix="mm-envs-store-") as folder:
        return tried(case, Path(folder), Random(f"{_SEED} {number} {case.kind}"))


def _report(
    killed: Mapping[str, Killed], crowd: Sequence[Crowd], found: Sequence[tuple[Case, str]]
) -> Report:
    wrong = [f"{case.group}, {case.kind}: {why}" for case, why in found if why]
    errors = [sentence for one in crowd for sentence in (*one.errors, *one.faults)]
    met = all(one.sound for one in killed.values()) and all(one.right for one in crowd)
    said = [
        "a store has to hold every record and file that was acknowledged, batches whole or not at all, and "
        "count nothing twice when all is submitted again",
        "a process is killed, not the machine: what a failing disk or power supply does is not measured; the "
        "database waits for the disk at every commit (synchronous=FULL)",
        "records: acknowledged to the writer before it was killed; in flight: kills after which one more "
        "batch is there that nobody had been told of, or a store is begun and not there yet; "
        "torn: batches that are there in part",
        f"{_WRITERS} writers: a third to a half of what each submits is the same in all of them",
        *errors,
        *wrong,
    ]
    values = {
        "kills": {kind: asdict(one) for kind, one in killed.items()},
        "at once": [asdict(one) for one in crowd],
        "faults": {"tried": len(found), "wrong": wrong},
    }
    shown = [_kills_table(killed), _crowd_table(crowd), _faults_table(found)]
    return Report(met and not errors and not wrong, shown, said, values)


def _kills_table(killed: Mapping[str, Killed]) -> Table:
    columns = ("killed while", "kills", "records", "in flight", "lost", "torn", "twice", "faults")
    rows = []
    for kind, one in (*killed.items(), ("all", sum(killed.values(), Killed()))):
        counts = (one.kills, one.acknowledged, one.unacknowledged, one.lost, one.torn, one.twice, one.faults)
        rows.append((kind, *(f"{count:,}" for count in counts)))
    return Table("Writers killed", columns, rows)


def _crowd_table(crowd: Sequence[Crowd]) -> Table:
    columns = ("writers", "submitted", "all there, once", "errors", "longest wait (s)")
    rows = [
        (
            str(one.writers),
            f"{one.submitted:,}",
            "yes" if one.right else "no",
            str(len(one.errors)),
            f"{one.longest:.2f}",
        )
        for one in crowd
    ]
    return Table("Writers at once", columns, rows)


def _faults_table(found: Sequence[tuple[Case, str]]) -> Table:
    kinds: dict[str, set[str]] = {}
    counts, right = Counter[str](), Counter[str]()
    for case, why in found:
        kinds.setdefault(case.group, set()).add(case.kind)
        counts[case.group] += 1
        right[case.group] += not why
    rows = [(group, str(len(names)), str(counts[group]), str(right[group])) for group, names in kinds.items()]
    return Table("Faults", ("what", "kinds", "tried", "the expected sentence, nothing changed"), rows)
