"""Malformed files and manifests, opened one by one: each has to end in one clear error.

Every kind of fault is drawn again and again by a seeded generator. What is broken is really broken: a file
that still decodes to the same pixels or samples is drawn again, and the folders around the fault are right,
which is measured, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.malformed import manifests, media, published
from benchmarks.malformed.case import Maker, opens, skipped, verdict
from benchmarks.reports import Options, Report, Table

COUNT, LARGE = 500, 100_000
QUICK_COUNT, QUICK_LARGE = 60, 1_000

_SEED = 0
_COLUMNS = ("what", "kinds", "opened", "clear errors", "skipped and counted")
_GROUPS = {"media": media, "manifests": manifests, "layouts": published}


@dataclass(frozen=True)
class Found:
    """What came of one folder.

    Attributes:
        group: "media", "manifests" or "layouts".
        kind: What is wrong in it.
        raised: Why the error was no clear one; empty if it was.
        skipped: Why leaving out with ``on_error="skip"`` went wrong; empty if it did not.
    """

    group: str
    kind: str
    raised: str
    skipped: str


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """Makes malformed folders and opens each, once to be refused and once to be skipped."""
    count, large = (QUICK_COUNT, QUICK_LARGE) if options.quick else (COUNT, LARGE)
    found = []
    for number, (group, kind, maker) in enumerate(drawn(count, large)):
        if number % 50 == 0:
            progress(f"malformed folder {number} of {count}")
        found.append(tried(group, kind, maker, Random(f"{_SEED} {number} {kind}")))
    progress("folders that are right")
    return report(found, refused())


def refused() -> dict[str, str]:
    """Folders that are right and do not open all the same: kind -> why."""
    found = {}
    for module in _GROUPS.values():
        for kind, maker in module.controls().items():
            with tempfile.TemporaryDirectory() as folder:
                maker(Path(folder), Random(f"{_SEED} {kind}"))
                found[kind] = opens(Path(folder))
    return {kind: why for kind, why in found.items() if why}


def drawn(count: int, large: int) -> list[tuple[str, str, Maker]]:
    """So many kinds of faults: each of them in turn, and the large manifest once."""
    kinds = [
        (group, kind, maker) for group, module in _GROUPS.items() for kind, maker in module.makers().items()
    ]
    # Some of every group, even where there are fewer than there are kinds.
    Random(_SEED).shuffle(kinds)
    first = ("manifests", f"{large:,} rows, one of them bad", partial(manifests.large, large))
    return [first, *(kinds[number % len(kinds)] for number in range(count - 1))]


def tried(group: str, kind: str, maker: Maker, rng: Random) -> Found:
    """What came of one kind of fault."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fault = maker(root, rng)
        return Found(group, kind, verdict(root, fault), skipped(root, fault))


def report(found: Sequence[Found], wrongly: Mapping[str, str]) -> Report:
    """Counts by group; met if all errors were clear and all that was left out was counted.

    Args:
        found: What came of malformed folders.
        wrongly: Folders that are right and were refused.
    """
    rows, values = [], {}
    for group in _GROUPS:
        of_group = [one for one in found if one.group == group]
        clear, counted = _clear(of_group), sum(not one.skipped for one in of_group)
        kinds = len({one.kind for one in of_group})
        rows.append((group, f"{kinds}", f"{len(of_group)}", f"{clear}", f"{counted}"))
        values[group] = {"kinds": kinds, "files": len(of_group), "clear": clear, "skipped": counted}
    clear, counted = _clear(found), sum(not one.skipped for one in found)
    rows.append(("all", "", f"{len(found)}", f"{clear}", f"{counted}"))
    bad = [f"{one.kind}: {one.raised or one.skipped}" for one in found if one.raised or one.skipped]
    bad += [f"{kind}, though it is right: {why}" for kind, why in wrongly.items()]
    return Report(
        met=not bad,
        shown=[Table("Malformed files and manifests", _COLUMNS, rows)],
        said=[f"{clear} of {len(found)} were refused in one clear sentence", *bad[:20]],
        values={"groups": values, "opened": len(found), "clear": clear, "skipped": counted, "failures": bad},
    )


def _clear(found: Sequence[Found]) -> int:
    return sum(not one.raised for one in found)
