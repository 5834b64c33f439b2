"""``mm-envs bench throughput``: captioning on the engine against the same task in plain Python.

All sides take turns in one process, so that other work on the machine meets all of them alike, and medians
are compared. Every peer runs at the number of rows at which it was quickest in a first pass. Actions are
uniformly random words, drawn before the clock runs, and every picture is rendered before, on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.baselines.plain_env import plain_items
from benchmarks.machine import Calibration, available_cores, copy_bandwidth, describe
from benchmarks.reports import Options
from benchmarks.scaling import SIZES, Scaling, observation_bytes
from benchmarks.sides import Peer, Side, engine_side, peers
from benchmarks.statistics import median_ratio_interval, spread
from benchmarks.throughput_report import Bandwidth, Comparison, ScaleResult, SideResult, ThroughputReport
from mm_envs.cli.threads import torch_threads

PEER_ROWS = (16, 64, 256, 1024)
TARGETS = {True: (6.0, 8.0), False: (9.0, 12.0)}  # fresh or live: what must be reached, what is hoped for


def throughput(
    rows: int = 1024,
    *,
    rounds: int = 7,
    seconds: float = 1.0,
    threads: int = 2,
    seed: int = 0,
    peer_rows: Sequence[int] = PEER_ROWS,
    sizes: Sequence[int] = SIZES,
    most_processes: int = 64,
    quick: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> ThroughputReport:
    """Measures the speed of MMCaption-v0 against plain Python environments.

    Args:
        rows: Rows of our side in the comparison.
        rounds: How often every side has its turn.
        seconds: The length of a turn.
        threads: Threads of torch while it runs; plain Python uses one.
        seed: Seeds actions, environments and resampling.
        peer_rows: The numbers of rows at which every peer is tried.
        sizes: The numbers of rows of the scaling table, ascending.
        most_processes: AsyncVectorEnv, which runs one process a row, is not tried with more rows than this.
        quick: A few short turns at small sizes: shows that everything runs, and measures nothing.
        progress: Told what is going on.

    Returns:
        Everything that was found.
    """
    if quick:
        rounds, seconds, most_processes = 2, 0.02, 4
        rows, peer_rows, sizes = min(rows, 64), (4, 16), (1, 16, 64)
    with torch_threads(threads):
        run = _Run(rounds, seconds, seed, progress, {"items": 256} if quick else {})
        first, notes = run.first_pass(peer_rows, most_processes)
        sides, comparisons, bandwidth = run.race(rows, first)
        scaling = run.scale(sizes)
    return ThroughputReport(
        machine=describe(),
        threads=threads,
        rows=rows,
        rounds=rounds,
        seconds=seconds,
        busy=run.calibration.reasons(),
        calibration=run.calibration.spread,
        first_pass=[result for _, result in first],
        sides=sides,
        comparisons=comparisons,
        scaling=scaling,
        bandwidth=bandwidth,
        notes=notes,
    )


def bench(options: Options, progress: Callable[[str], None]) -> ThroughputReport:
    """``mm-envs bench throughput``: see ``throughput``."""
    return throughput(threads=options.threads, quick=options.quick, progress=progress)


def take_turns(
    sides: Sequence[Side], rounds: int, seconds: float, between: Callable[[], object]
) -> list[list[float]]:
    """Lets all sides run in turns, to and fro, after a short turn that does not count.

    Args:
        sides: Who runs.
        rounds: How often everybody has a turn.
        seconds: The length of a turn.
        between: Called before every round.

    Returns:
        For each side its row-steps a second, one number a round.
    """
    for side in sides:
        side.run(seconds / 5)
    speeds: list[list[float]] = [[] for _ in sides]
    for count in range(rounds):
        between()
        order = list(range(len(sides)))
        for i in order if count % 2 == 0 else reversed(order):
            speeds[i].append(sides[i].run(seconds))
    return speeds


@dataclass
class _Run:
    """The phases of one benchmark, and what they share."""

    rounds: int
    seconds: float
    seed: int
    progress: Callable[[str], None]
    task_arguments: dict[str, Any]
    calibration: Calibration = field(default_factory=Calibration)

    def __post_init__(self) -> None:
        self.calibration.measure()
        self.generator = np.random.default_rng(self.seed)
        self.progress("making the items")
        self.items = plain_items(**self.task_arguments)
        # The engines of a process share their items as long as one of them lives.
        self.keeper = self.engine(1, fresh=False)

    def engine(self, rows: int, fresh: bool) -> Side:
        """Our side."""
        return engine_side(rows, fresh, self.generator, self.seed, **self.task_arguments)

    def peer(self, peer: Peer, rows: int) -> Side:
        """One of the others."""
        return peer.side(rows, self.items, self.generator, self.seed)

    def first_pass(
        self, peer_rows: Sequence[int], most_processes: int
    ) -> tuple[list[tuple[Peer, SideResult]], list[str]]:
        """Every peer at every number of rows, two short turns each; and what was left out."""
        found, notes = [], []
        for peer in peers():
            most = most_processes if peer.per_process else max(peer_rows)
            results = [self._alone(peer, rows) for rows in peer_rows if rows <= most]
            found += [(peer, result) for result in results]
            left_out = [rows for rows in peer_rows if rows > most]
            if left_out:
                notes.append(_left_out(peer, results, left_out))
        return found, notes

    def _alone(self, peer: Peer, rows: int) -> SideResult:
        self.progress(f"{peer.name}, {rows} rows")
        side = self.peer(peer, rows)
        speeds = take_turns([side], 2, self.seconds / 2, lambda: None)[0]
        side.close()
        return _result(side, speeds)

    def race(
        self, rows: int, first: Sequence[tuple[Peer, SideResult]]
    ) -> tuple[list[SideResult], list[Comparison], Bandwidth]:
        """Ours and every peer at its best, in turns, with the memory measured between them."""
        ours = [self.engine(rows, fresh) for fresh in (True, False)]
        others = [self.peer(peer, best) for peer, best in _best_rows(first).items()]
        size, copies = observation_bytes(ours[0]), list[float]()

        def between() -> None:
            self.calibration.measure()
            copies.append(copy_bandwidth(size, self.seconds / 5))

        self.progress(f"all sides in turns, {self.rounds} rounds")
        speeds = take_turns([*ours, *others], self.rounds, self.seconds, between)
        least = _least_bytes(ours[0])
        for side in others:
            side.close()
        comparisons = [
            self._compare(side, turns, others, speeds[len(ours) :])
            for side, turns in zip(ours, speeds, strict=False)
        ]
        bandwidth = _bandwidth(float(np.median(copies)), least, size, float(np.median(speeds[0])) / rows)
        results = [_result(side, turns) for side, turns in zip([*ours, *others], speeds, strict=True)]
        return results, comparisons, bandwidth

    def scale(self, sizes: Sequence[int]) -> list[ScaleResult]:
        """Ours at several numbers of rows, in turns."""
        self.progress(f"scaling up to {sizes[-1]:,} rows")
        scaling = Scaling(sizes, lambda rows: self.engine(rows, fresh=True))
        return scaling.results(
            take_turns(scaling.sides, self.rounds, self.seconds / 2, self.calibration.measure)
        )

    def _compare(
        self, ours: Side, turns: Sequence[float], others: Sequence[Side], theirs: Sequence[Sequence[float]]
    ) -> Comparison:
        # Fresh observations against peers that hand out fresh ones; live buffers against anybody.
        allowed = [i for i, side in enumerate(others) if side.fresh or not ours.fresh]
        best = max(allowed, key=lambda i: np.median(theirs[i]))
        ratio = median_ratio_interval(turns, theirs[best], self.generator)
        peer = f"{others[best].name}, {others[best].rows} rows"
        return Comparison(ours.name, peer, ratio, *TARGETS[ours.fresh])


def _left_out(peer: Peer, results: Sequence[SideResult], left_out: Sequence[int]) -> str:
    """Why a peer was not tried at some numbers of rows, and what was measured of it."""
    sizes = " and ".join(f"{rows:,}" for rows in left_out)
    measured = [f"{one.speed.median:,.0f} row-steps a second with {one.rows:,} rows" for one in results]
    return (
        f"{peer.name} was not measured with {sizes} rows, since every row is a process of its own and they "
        f"would share {available_cores()} cores: measured were {', '.join(measured) or 'none'}"
    )


def _best_rows(first: Sequence[tuple[Peer, SideResult]]) -> dict[Peer, int]:
    best: dict[Peer, SideResult] = {}
    for peer, result in first:
        if peer not in best or result.speed.median > best[peer].speed.median:
            best[peer] = result
    return {peer: result.rows for peer, result in best.items()}


def _result(side: Side, speeds: Sequence[float]) -> SideResult:
    return SideResult(side.name, side.rows, side.fresh, spread(speeds))


def _least_bytes(side: Side, steps: int = 16) -> float:
    """Bytes that a step must write: the context of rows whose episode ended, the state of all rows."""
    ended, image, state = 0.0, 0, 0
    for step in range(steps):
        observation, _, terminated, *_ = side.step(side.actions[step % len(side.actions)])
        ended += float(terminated.float().mean()) / steps
        image = observation["image"].nbytes
        state = sum(value.nbytes for value in observation.values()) - image
    return ended * image + state


def _bandwidth(bytes_per_second: float, least: float, whole: int, steps_per_second: float) -> Bandwidth:
    return Bandwidth(
        bytes_per_second=bytes_per_second,
        least_bytes=least,
        whole_bytes=whole,
        least_ratio=steps_per_second * least / bytes_per_second,
        whole_ratio=steps_per_second * whole / bytes_per_second,
    )
