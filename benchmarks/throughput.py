"""Throughput: captioning on the engine against the same task in plain Python."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.baselines.plain_env import PlainCaptionEnv, plain_items
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.machine import available_cores, resident_bytes
from benchmarks.report import Table
from benchmarks.sides import Side, engine_side, peers, speed_table, take_turns
from mm_envs.statistics import ratio_of_medians, spread

SIZES = (1, 16, 64, 256, 1024, 4096, 16384, 65536)
_WARM_STEPS = 4
_TIMING = {"repeats": 7, "seconds": 1.0, "items": None}
_QUICK = {"repeats": 2, "seconds": 0.02, "items": 256}


def race(
    context: Context,
    seed: int,
    rows: int,
    peer_rows: Sequence[int],
    max_processes: int,
    repeats: int,
    seconds: float,
    items: int | None,
) -> dict[str, Any]:
    """Times the engine and every peer at its best number of rows, in turns.

    Args:
        context: Progress.
        seed: Seeds actions and environments.
        rows: Rows of the engine.
        peer_rows: The numbers of rows at which every peer is tried first.
        max_processes: AsyncVectorEnv, one process a row, is not tried with more rows.
        repeats: Turns of each side.
        seconds: The length of a turn.
        items: Items of the dataset; None for the default.

    Returns:
        "first_pass" and "sides", each a list of sides with their speeds, and "left_out".
    """
    generator, arguments = np.random.default_rng(seed), _arguments(items)
    make = partial(PlainCaptionEnv, plain_items(**arguments))
    ours = [engine_side(rows, fresh, generator, seed, **arguments) for fresh in (True, False)]
    first, best, left_out = best_peers(context, make, generator, seed, peer_rows, max_processes, seconds / 2)
    context.progress(f"all sides in turns, {repeats} repeats")
    results = results_in_turns([*ours, *best], repeats, seconds)
    return {"first_pass": first, "sides": results, "left_out": left_out, "cores": available_cores()}


def best_peers(
    context: Context,
    make: Callable[[], gym.Env[Any, Any]],
    generator: np.random.Generator,
    seed: int,
    peer_rows: Sequence[int],
    max_processes: int,
    seconds: float,
) -> tuple[list[dict[str, Any]], list[Side], list[dict[str, Any]]]:
    """Every peer alone at each number of rows; every peer at its best; and what was left out."""
    first, best, left_out = [], [], []
    for peer in peers():
        allowed = [n for n in peer_rows if not peer.per_process or n <= max_processes]
        if len(allowed) < len(peer_rows):
            left_out.append({"name": peer.name, "rows": [n for n in peer_rows if n not in allowed]})
        found = []
        for number in allowed:
            context.progress(f"{peer.name}, {number} rows")
            found += results_in_turns([peer.side(number, make, generator, seed)], 2, seconds)
        if not found:
            continue
        first += found
        quickest = max(found, key=lambda side: spread(side["speeds"]).median)
        best.append(peer.side(quickest["rows"], make, generator, seed))
    return first, best, left_out


def results_in_turns(sides: Sequence[Side], repeats: int, seconds: float) -> list[dict[str, Any]]:
    """The results of sides that take turns; closes them."""
    speeds = take_turns(sides, repeats, seconds)
    for side in sides:
        side.close()
    return [side.result(turns) for side, turns in zip(sides, speeds, strict=True)]


def scaling(
    context: Context, seed: int, rows: int, repeats: int, seconds: float, items: int | None
) -> dict[str, Any]:
    """Times the engine, with fresh observations, at one number of rows; and how much memory it takes."""
    generator, arguments = np.random.default_rng(seed), _arguments(items)
    # The engines of a process share their items: another one keeps them out of the growth of memory.
    keeper = engine_side(1, False, generator, seed, **arguments)
    gc.collect()
    before = resident_bytes()
    side = engine_side(rows, True, generator, seed, **arguments)
    size, after = observation_bytes(side), resident_bytes()
    speeds = take_turns([side], repeats, seconds / 2)[0]
    keeper.close()
    side.close()
    growth = None if before is None or after is None else after - before
    return {**side.result(speeds), "observation_bytes": size, "memory_growth": growth}


def observation_bytes(side: Side) -> int:
    """The bytes of one observation of all rows, after a few steps that fill every buffer."""
    for step in range(_WARM_STEPS):
        kept = side.step(side.actions[step])
    return sum(value.nbytes for value in kept[0].values())


def _arguments(items: int | None) -> dict[str, Any]:
    return {} if items is None else {"items": items}


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Quotients, speeds and scaling."""
    (found,) = (one.result for one in findings["race"])
    return [
        quotients(found["sides"]),
        speed_table("Row-steps a second, sides in turns", found["sides"]),
        scaling_table([one.result for one in findings["scaling"]]),
        speed_table("Row-steps a second of every peer alone", found["first_pass"]),
    ]


def quotients(sides: Sequence[Mapping[str, Any]]) -> Table:
    """The engine over the best peer: fresh observations over fresh ones, live buffers over any."""
    rows = []
    for ours in sides[:2]:
        allowed = [side for side in sides[2:] if side["fresh"] or not ours["fresh"]]
        best = max(allowed, key=lambda side: spread(side["speeds"]).median)
        ratio = ratio_of_medians(ours["speeds"], best["speeds"], np.random.default_rng(0))
        name = f"{best['name']}, {best['rows']} rows"
        rows.append((ours["name"], ratio.format(".1f"), str(len(ours["speeds"])), name))
    columns = ("side", "quotient [95 %]", "turns", "best peer")
    return Table("Speed over that of the best peer, medians (percentile bootstrap)", columns, rows)


def scaling_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Time and memory of a row by number of rows."""
    cost = [1e9 / spread(one["speeds"]).median for one in found]
    rows = []
    for one, nanoseconds in zip(found, cost, strict=True):
        size, growth = one["observation_bytes"], one["memory_growth"]
        buffers = "unknown" if growth is None else f"{growth / size:.2f}"
        relative = f"{nanoseconds / min(cost):.2f}"
        rows.append((f"{one['rows']:,}", f"{nanoseconds:,.0f}", relative, f"{size / 1e6:,.1f}", buffers))
    columns = ("rows", "ns a row-step", "over the least", "observation MB", "memory growth over observation")
    return Table("Scaling of the engine, fresh observations", columns, rows)


def notes(findings: Mapping[str, list[Finding]]) -> list[str]:
    """What was left out."""
    (found,) = (one.result for one in findings["race"])
    lines = []
    for one in found["left_out"]:
        sizes = " and ".join(f"{rows:,}" for rows in one["rows"])
        lines.append(
            f"{one['name']} was not measured with {sizes} rows: every row is a process, "
            f"on {found['cores']} cores."
        )
    return lines


EXPERIMENT = Experiment(
    "Throughput",
    "MMCaption-v0 on the engine, with its default feedback, truth and info, against the same task as a plain "
    "`gymnasium.Env` under the vector environments of Gymnasium and Stable-Baselines3. Actions are uniformly "
    "random words, drawn before the timing; pictures are rendered before. All sides take turns in one "
    "process. Memory growth near 3 observations is expected: three sets of buffers alternate.",
    (
        Grid(
            race,
            {"rows": 1024, "peer_rows": (16, 64, 256, 1024), "max_processes": 64, **_TIMING},
            quick={"rows": 64, "peer_rows": (4, 16), "max_processes": 4, **_QUICK},
        ),
        Grid(scaling, _TIMING, {"rows": SIZES}, quick={"rows": 16, **_QUICK}),
    ),
    tables,
    notes,
)
