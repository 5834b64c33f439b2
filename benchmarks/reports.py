"""What a benchmark found, in one form: JSON values for programs, tables and sentences for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.machine import Machine, describe


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: What it shows.
        columns: The heads of the columns.
        rows: One text a column.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Bar:
    """A target.

    Attributes:
        what: What was aimed at.
        found: What was found, as text.
        met: Whether it was met.
    """

    what: str
    found: str
    met: bool


class Options(Protocol):
    """What every benchmark is told; ``mm-envs bench`` satisfies it.

    Attributes:
        quick: Show that everything runs, and measure nothing.
        threads: Threads of torch.
    """

    @property
    def quick(self) -> bool: ...  # noqa: D102

    @property
    def threads(self) -> int: ...  # noqa: D102

    def folder(self, name: str) -> Any:
        """The ``Path`` of a set of real data, an error if there is none."""
        ...


@dataclass(frozen=True)
class Report:
    """What a benchmark found.

    Attributes:
        met: Whether every target was met.
        shown: Tables for people.
        said: Sentences beneath the tables.
        values: The numbers themselves, as JSON values.
        busy: Why the machine counted as busy; empty if it did not.
        machine: Where it was measured.
    """

    met: bool
    shown: Sequence[Table]
    said: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    busy: Sequence[str] = ()
    machine: Machine = field(default_factory=describe)

    def tables(self) -> Sequence[Table]:
        """The tables."""
        return self.shown

    def lines(self) -> Sequence[str]:
        """The sentences, then the machine and whether it was busy."""
        packages = ", ".join(f"{name} {version}" for name, version in self.machine.packages.items())
        where = f"{self.machine.processor}, {self.machine.cores} cores; {packages}"
        return [*self.said, where, *(f"BUSY MACHINE: {reason}" for reason in self.busy)]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "met": self.met,
            "tables": [
                {"title": one.title, "columns": list(one.columns), "rows": [list(row) for row in one.rows]}
                for one in self.shown
            ],
            "lines": list(self.said),
            "values": dict(self.values),
            "busy": list(self.busy),
            "machine": vars(self.machine),
        }
