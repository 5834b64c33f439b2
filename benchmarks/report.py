"""A report: tables with the date, commit and machine of their measurement, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: The quantity, its unit and its interval.
        columns: The heads of the columns.
        rows: One text a column.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> list[str]:
        """Lines of Markdown.

        Example:
            >>> Table("Speed", ("engine", "steps"), [("ours", "9")]).markdown()[2:]
            ['| engine | steps |', '|---|---|', '| ours | 9 |']
        """
        lines = [f"**{self.title}**", "", f"| {' | '.join(self.columns)} |", "|" + "---|" * len(self.columns)]
        return [*lines, *(f"| {' | '.join(row)} |" for row in self.rows)]


@dataclass(frozen=True)
class Measurement:
    """When, where and at which commit a cell was measured.

    Attributes:
        date: ISO date.
        commit: Short commit, with "+" where the checkout differed from it.
        machine: ``benchmarks.machine.Machine`` as JSON values.
        seconds: The time of the cell; None if unknown.
        threads: Threads of torch; None if unknown.
        busy: Reasons why the machine counted as busy: timings of such a cell are not reliable.
    """

    date: str
    commit: str
    machine: Mapping[str, Any]
    seconds: float | None = None
    threads: int | None = None
    busy: Sequence[str] = ()

    def where(self) -> str:
        """The machine in one line."""
        given = self.machine
        packages = ", ".join(f"{name} {version}" for name, version in given["packages"].items())
        accelerator = given.get("accelerator") or "no accelerator"
        return f"{given['processor']}, {given['cores']} cores, {accelerator}; {packages}"


@dataclass(frozen=True)
class Report:
    """Tables of one experiment.

    Attributes:
        title: The heading.
        about: What was measured and how.
        command: What measures it again.
        measurements: One a cell.
        tables: The tables.
        notes: Sentences below them.
    """

    title: str
    about: str
    command: str
    measurements: Sequence[Measurement]
    tables: Sequence[Table]
    notes: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Report:
        """The report that ``to_json`` gave."""
        parts = {
            "measurements": [Measurement(**one) for one in values["measurements"]],
            "tables": [Table(**one) for one in values["tables"]],
        }
        return cls(**{**values, **parts})

    def measured(self) -> list[str]:
        """Date, commit, machine, time and load, a line for each place and day of measurement."""
        groups: dict[tuple[str, str, str], list[Measurement]] = {}
        for one in self.measurements:
            groups.setdefault((one.date, one.commit, one.where()), []).append(one)
        lines = []
        for (date, commit, where), several in groups.items():
            seconds = [one.seconds for one in several if one.seconds is not None]
            took = f"; {sum(seconds):,.0f} s" if seconds else ""
            threads = sorted({one.threads for one in several if one.threads is not None})
            used = f"; torch threads: {', '.join(map(str, threads))}" if threads else ""
            lines.append(f"Measured on {date} at commit `{commit}`: {where}{used}{took}.")
            busy = dict.fromkeys(reason for one in several for reason in one.busy)
            lines += [f"Busy machine: {reason}." for reason in list(busy)[:3]]
        return lines

    def markdown(self) -> str:
        """The page."""
        lines = [f"# {self.title}", "", self.about, "", f"Command: `{self.command}`", ""]
        for line in self.measured():
            lines += [line, ""]
        for table in self.tables:
            lines += [*table.markdown(), ""]
        for note in self.notes:
            lines += [note, ""]
        return "\n".join(lines)
