"""What the throughput benchmark found: plain values, as a dict for programs and as tables for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.machine import Machine
from benchmarks.reports import Table
from benchmarks.statistics import Interval, Spread

_LARGE = (16384, 65536)
_COMPARED = 256
# With fresh observations three sets alternate: what the caller holds, its final_obs, and what is written now.
_MOST_BUFFERS = 3.5


@dataclass(frozen=True)
class SideResult:
    """Row-steps a second of one side.

    Attributes:
        name: The side.
        rows: Its number of rows.
        fresh: Whether its observations are never changed afterwards.
        speed: Median and quartiles over the rounds.
    """

    name: str
    rows: int
    fresh: bool
    speed: Spread


@dataclass(frozen=True)
class Comparison:
    """Our speed over that of the best peer.

    Attributes:
        name: Our side.
        peer: The best peer, with its rows.
        ratio: Ratio of the medians, with its bootstrap interval.
        target: What must be reached.
        goal: What is hoped for.
    """

    name: str
    peer: str
    ratio: Interval
    target: float
    goal: float

    @property
    def met(self) -> bool:
        """Whether the ratio reaches the target."""
        return self.ratio.value >= self.target


@dataclass(frozen=True)
class ScaleResult:
    """The engine, with fresh observations, at one number of rows.

    Attributes:
        rows: The number of rows.
        nanoseconds: Median time of one row's step.
        quickest: That time over the smallest of all sizes.
        observation_bytes: The bytes of one observation of all rows.
        memory_growth: How much the process grew when this size was built and stepped, None if unknown.
    """

    rows: int
    nanoseconds: float
    quickest: float
    observation_bytes: int
    memory_growth: int | None

    @property
    def buffers(self) -> float | None:
        """The growth counted in observations: three sets of them alternate, beside a small state."""
        return None if self.memory_growth is None else self.memory_growth / self.observation_bytes


@dataclass(frozen=True)
class Bandwidth:
    """Our speed with fresh observations beside what the machine copies.

    Attributes:
        bytes_per_second: Plain copies of one observation of all rows into a buffer that exists.
        least_bytes: Bytes that a step must write: pictures of the rows that got a new item, and the words.
        whole_bytes: Bytes of a whole observation.
        least_ratio: Our speed over that of copying ``least_bytes`` a step and nothing else.
        whole_ratio: Our speed over that of copying ``whole_bytes`` a step and nothing else.
    """

    bytes_per_second: float
    least_bytes: float
    whole_bytes: int
    least_ratio: float
    whole_ratio: float


@dataclass(frozen=True)
class ThroughputReport:
    """Everything the benchmark found.

    Attributes:
        machine: Where it ran.
        threads: Threads of torch; plain Python uses one.
        rows: Rows of our side.
        rounds: How often every side had its turn.
        seconds: The length of a turn.
        busy: Why the machine counts as busy; empty if it does not.
        calibration: How much longer than the quickest equal pieces of work took (90th percentile).
        first_pass: Every peer at every number of rows.
        sides: Ours and every peer at its best number of rows, in turns.
        comparisons: Ours over the best peer.
        scaling: Ours at different numbers of rows.
        bandwidth: Ours beside the memory.
        notes: What was left out, and why.
    """

    machine: Machine
    threads: int
    rows: int
    rounds: int
    seconds: float
    busy: list[str]
    calibration: float
    first_pass: list[SideResult]
    sides: list[SideResult]
    comparisons: list[Comparison]
    scaling: list[ScaleResult]
    bandwidth: Bandwidth
    notes: list[str]

    @property
    def scaling_met(self) -> bool | None:
        """Whether large sizes cost no more a row than 256 rows, and at most twice the least.

        None where 256 rows or both large sizes were not measured.
        """
        cost = {result.rows: result for result in self.scaling}
        large = [cost[rows] for rows in _LARGE if rows in cost]
        if _COMPARED not in cost or not large:
            return None
        most = cost[_COMPARED].nanoseconds
        return all(result.nanoseconds <= most and result.quickest <= 2 for result in large)

    @property
    def memory_met(self) -> bool | None:
        """Whether large sizes take at most three observations and a half of memory; None if unknown."""
        known = [r.buffers for r in self.scaling if r.rows in _LARGE and r.buffers is not None]
        return all(buffers <= _MOST_BUFFERS for buffers in known) if known else None

    @property
    def met(self) -> bool:
        """Whether nothing that was measured misses its target."""
        return all(c.met for c in self.comparisons) and False not in (self.scaling_met, self.memory_met)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can say it."""
        said = asdict(self)
        for entry, comparison in zip(said["comparisons"], self.comparisons, strict=True):
            entry["met"] = comparison.met
        for row, result in zip(said["scaling"], self.scaling, strict=True):
            row["buffers"] = result.buffers
        return said | {"met": self.met, "scaling_met": self.scaling_met, "memory_met": self.memory_met}

    def tables(self) -> list[Table]:
        """The report as tables of texts."""
        return [
            _speeds("Peers at each number of rows (first pass)", self.first_pass),
            _speeds("Row-steps a second, sides in turns", self.sides),
            self._comparisons(),
            self._scaling(),
            self._bandwidth(),
        ]

    def lines(self) -> list[str]:
        """Where it ran, whether the machine was busy and what was left out, one sentence each."""
        packages = ", ".join(f"{name} {version}" for name, version in self.machine.packages.items())
        machine = self.machine
        return [
            f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}",
            f"{packages}; {self.threads} torch threads",
            f"{self.rounds} rounds of {self.seconds:g} s a side",
            *(f"BUSY MACHINE: {reason}" for reason in self.busy),
            *self.notes,
        ]

    def _comparisons(self) -> Table:
        rows = [
            (
                c.name,
                c.peer,
                f"{c.ratio.value:.1f}x ({c.ratio.low:.1f} to {c.ratio.high:.1f})",
                f"{c.target:g}x (goal {c.goal:g}x)",
                _verdict(c.met),
            )
            for c in self.comparisons
        ]
        columns = ("side", "best peer", "ratio of medians (95 %)", "target", "")
        return Table("Against the best peer", columns, rows)

    def _scaling(self) -> Table:
        rows = [
            (
                f"{r.rows:,}",
                f"{r.nanoseconds:,.0f}",
                f"{r.quickest:.2f}",
                f"{r.observation_bytes / 1e6:,.1f}",
                "unknown" if r.memory_growth is None else f"{r.memory_growth / 1e6:,.1f}",
                "unknown" if r.buffers is None else f"{r.buffers:.2f}",
            )
            for r in self.scaling
        ]
        columns = (
            "rows",
            "ns a row-step",
            "over the least",
            "observation MB",
            "memory growth MB",
            "quotient",
        )
        title = f"Scaling (time {_verdict(self.scaling_met)}, memory {_verdict(self.memory_met)})"
        return Table(title, columns, rows)

    def _bandwidth(self) -> Table:
        b = self.bandwidth
        rows = [
            ("what must be written", f"{b.least_bytes / 1e6:.2f}", f"{b.least_ratio:.2f}"),
            ("whole observations", f"{b.whole_bytes / 1e6:.2f}", f"{b.whole_ratio:.2f}"),
        ]
        title = f"Beside plain copies at {b.bytes_per_second / 1e9:.1f} GB/s"
        return Table(title, ("bytes copied a step", "MB", "our speed over the limit"), rows)


def _speeds(title: str, results: list[SideResult]) -> Table:
    rows = [
        (
            result.name,
            f"{result.rows:,}",
            f"{result.speed.median:,.0f}",
            f"{result.speed.lower:,.0f} to {result.speed.upper:,.0f}",
        )
        for result in results
    ]
    return Table(title, ("side", "rows", "median", "quartiles"), rows)


def _verdict(met: bool | None) -> str:
    return "not measured" if met is None else "met" if met else "MISSED"
