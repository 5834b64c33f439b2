"""Fuzzing: broken files and manifests, each of which has to be refused in one clear sentence.

Every kind of fault is drawn again and again by a seeded generator. A file that still decodes to the same
pixels or samples after it was damaged is drawn again, and folders without a fault have to open.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.fuzzing import manifests, media, published
from benchmarks.experiments.fuzzing.case import Maker, opens, skipped, verdict
from benchmarks.report import Table

GROUPS = {"media": media, "manifests": manifests, "layouts": published}
LARGE = "large manifest"


def opened(
    context: Context, seed: int, group: str, rows: int = 100_000, kinds: int | None = None
) -> dict[str, Any]:
    """Opens one folder of every kind of fault of a group, once to be refused and once to be skipped.

    Args:
        context: Progress.
        seed: Decides the faults.
        group: A key of ``GROUPS``, or ``LARGE``.
        rows: Rows of the large manifest.
        kinds: The number of kinds that are tried; None for all.

    Returns:
        "kinds" and "failures" by kind: why an error was not clear, and why skipping went wrong.
    """
    makers: dict[str, Maker]
    if group == LARGE:
        makers = {f"{rows:,} rows, one of them bad": partial(manifests.large, rows)}
    else:
        makers = dict(list(GROUPS[group].makers().items())[:kinds])
    found = {kind: tried(maker, Random(f"{seed} {kind}")) for kind, maker in makers.items()}
    return {"kinds": len(found), "failures": {kind: one for kind, one in found.items() if any(one)}}


def tried(maker: Maker, rng: Random) -> list[str]:
    """Why the error of a folder was not clear, and why skipping went wrong; empty texts if they did not."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fault = maker(root, rng)
        return [verdict(root, fault), skipped(root, fault)]


def valid(context: Context, seed: int) -> dict[str, str]:
    """Opens folders without a fault; kind -> error of those that are refused."""
    found = {}
    for module in GROUPS.values():
        for kind, maker in module.controls().items():
            with tempfile.TemporaryDirectory() as folder:
                maker(Path(folder), Random(f"{seed} {kind}"))
                found[kind] = opens(Path(folder))
    return {kind: why for kind, why in found.items() if why}


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Counts by group."""
    rows = []
    for group in (*GROUPS, LARGE):
        several = [one.result for one in findings["opened"] if one.cell.arguments["group"] == group]
        count = sum(one["kinds"] for one in several)
        failures = [why for one in several for why in one["failures"].values()]
        clear, left = (count - sum(bool(why[i]) for why in failures) for i in (0, 1))
        rows.append((group, str(max(one["kinds"] for one in several)), str(count), str(clear), str(left)))
    refused = sum(map(len, (one.result for one in findings["valid"])))
    columns = ("group", "kinds of faults", "opened", "clear errors", "skipped and counted")
    return [Table(f"Folders with a fault; {refused} folders without one were refused", columns, rows)]


def notes(findings: Mapping[str, list[Finding]]) -> list[str]:
    """The failures."""
    failures = [(kind, why) for one in findings["opened"] for kind, why in one.result["failures"].items()]
    wrong = [f"{kind}: {raised or left}." for kind, (raised, left) in failures]
    return [*wrong, *(f"{kind}: {why}" for one in findings["valid"] for kind, why in one.result.items())]


EXPERIMENT = Experiment(
    "Fuzzing of files and manifests",
    "Broken media, manifests and published layouts are opened: each has to raise one clear "
    "sentence of mm_envs "
    'that names the file, the fault and the cure, and has to be left out and counted with `on_error="skip"`. '
    "A seed is one draw of every kind.",
    (
        Grid(opened, axes={"group": (*GROUPS, LARGE)}, seeds=range(1), quick={"rows": 1000, "kinds": 15}),
        Grid(opened, axes={"group": tuple(GROUPS)}, seeds=range(1, 5), quick={"kinds": 1}),
        Grid(valid),
    ),
    tables,
    notes,
)
