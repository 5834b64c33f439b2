"""An experiment: a grid of cells, each measured once and kept; its report is made from cells alone."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchmarks.machine import Calibration, describe
from benchmarks.report import Measurement, Report, Table

Progress = Callable[[str], None]


class Refusal(ValueError):
    """An experiment cannot run as it is called; the message says how it can."""


@dataclass(frozen=True)
class Context:
    """What a cell may use besides its configuration: it changes no result.

    Attributes:
        data: The folder of the sets of real data (docs/datasets.md); None without.
        progress: Called with what is being done.
    """

    data: Path | None = None
    progress: Progress = lambda message: None

    def folder(self, name: str) -> Path:
        """The folder of a set of real data.

        Raises:
            ValueError: No folder of data was given.
            FileNotFoundError: The set is not in it.
        """
        if self.data is None:
            raise Refusal(f"{name} is read from real data: name its folder with --data FOLDER")
        if not (self.data / name).is_dir():
            raise FileNotFoundError(f"{self.data / name} does not exist: docs/datasets.md names its source")
        return self.data / name


@dataclass(frozen=True)
class Cell:
    """One configuration of one function with one seed.

    Attributes:
        function: ``module:function``; called as ``function(context, seed=seed, **arguments)``.
        arguments: JSON values.
        seed: The seed.
    """

    function: str
    arguments: Mapping[str, Any]
    seed: int

    @property
    def key(self) -> str:
        """The name of its file: the function, and a digest of everything."""
        text = json.dumps([self.function, dict(self.arguments), self.seed], sort_keys=True)
        return f"{self.function.rpartition(':')[2]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        given = "".join(f", {name} {value}" for name, value in self.arguments.items())
        return f"{self.function.rpartition(':')[2]}{given}, seed {self.seed}"


@dataclass(frozen=True)
class Grid:
    """A function, and the configurations and seeds that it is measured with.

    Attributes:
        function: Takes a ``Context``, ``seed`` and arguments; returns JSON values. Pure but for timings.
        arguments: Arguments of every cell.
        axes: Argument -> its values; cells have every combination of them.
        seeds: Every combination is measured with each.
        quick: Arguments instead, to show in seconds that everything runs; one seed is used then.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Sequence[int] = (0,)
    quick: Mapping[str, Any] = field(default_factory=dict)

    def cells(self, quick: bool = False) -> Iterator[Cell]:
        """The cells, those of one seed one after another."""
        name = f"{self.function.__module__}:{self.function.__qualname__}"
        changed = self.quick if quick else {}
        axes = {argument: values for argument, values in self.axes.items() if argument not in changed}
        for seed in self.seeds[:1] if quick else self.seeds:
            for values in itertools.product(*axes.values()):
                given = {**self.arguments, **changed, **dict(zip(axes, values, strict=True))}
                yield Cell(
                    name, json.loads(json.dumps(given)), seed
                )  # as JSON stores it: tuples become lists

    def changed(self, values: Mapping[str, Sequence[Any]], seeds: Sequence[int] | None = None) -> Grid:
        """The grid with other values of some axes or arguments, in quick cells as well, or other seeds.

        Raises:
            ValueError: There is no such argument, or several values are given to one that is no axis.
        """
        axes, arguments = dict(self.axes), dict(self.arguments)
        for name, several in values.items():
            if name in axes:
                axes[name] = several
            elif name not in arguments:
                raise Refusal(
                    f"{name} is no argument of this experiment: it has {', '.join({**arguments, **axes})}"
                )
            elif len(several) == 1:
                arguments[name] = several[0]
            else:
                raise Refusal(f"{name} has {len(several)} values, but one is measured at a time: give one")
        quick = {name: value for name, value in self.quick.items() if name not in values}
        return replace(self, arguments=arguments, axes=axes, seeds=seeds or self.seeds, quick=quick)


@dataclass(frozen=True)
class Finding:
    """A cell and its result.

    Attributes:
        cell: The cell.
        result: What its function returned.
        measurement: When, where and at which commit.
    """

    cell: Cell
    result: Any
    measurement: Measurement

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {**asdict(self.cell), "result": self.result, "measurement": asdict(self.measurement)}

    @classmethod
    def read(cls, path: Path) -> Finding:
        """A stored finding.

        Raises:
            ValueError: The file holds none.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            cell = Cell(stored["function"], stored["arguments"], stored["seed"])
            return cls(cell, stored["result"], Measurement(**stored["measurement"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(f"{path} holds no finding ({error}): delete it and run again") from None


@dataclass(frozen=True)
class Experiment:
    """A question, the cells that answer it, and how their results become tables.

    Attributes:
        title: The heading of its page.
        about: What is measured and how, for readers of the page.
        grids: What is measured.
        tables: Results by name of function, each a list in the order of the cells -> tables.
        notes: Sentences below the tables, from the same results; None for none.
    """

    title: str
    about: str
    grids: Sequence[Grid]
    tables: Callable[[Mapping[str, list[Finding]]], Sequence[Table]]
    notes: Callable[[Mapping[str, list[Finding]]], Sequence[str]] | None = None

    def changed(self, values: Mapping[str, Sequence[Any]], seeds: Sequence[int] | None = None) -> Experiment:
        """The experiment with every grid changed, see ``Grid.changed``."""
        return replace(self, grids=tuple(grid.changed(values, seeds) for grid in self.grids))

    def run(self, folder: Path, context: Context, *, quick: bool = False, threads: int = 1) -> list[Finding]:
        """Measures the cells that have no file in ``folder`` yet, and returns the findings of all.

        A cell is written under a partial name and renamed: what was killed is measured again, what was
        finished is not. Several processes share the cells of one folder, each of which one of them measures.
        """
        locks = folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        cells = [cell for grid in self.grids for cell in grid.cells(quick)]
        found: dict[str, Finding] = {}
        # At first what no other process measures; then what others have not finished when they end.
        for wait in (False, True):
            for number, cell in enumerate(cells, 1):
                if cell.key in found:
                    continue
                path = folder / f"{cell.key}.json"
                with _claimed(locks / cell.key, wait) as claimed:
                    if claimed and not path.exists():
                        context.progress(f"{number} of {len(cells)}: {cell}")
                        _store(path, measure(cell, context, threads).to_json())
                if path.exists():
                    found[cell.key] = Finding.read(path)
        return [found[cell.key] for cell in cells]

    def report(self, findings: Sequence[Finding], command: str) -> Report:
        """The report of findings, in the order of the cells."""
        by_function: dict[str, list[Finding]] = {}
        for one in findings:
            by_function.setdefault(one.cell.function.rpartition(":")[2], []).append(one)
        return Report(
            title=self.title,
            about=self.about,
            command=command,
            measurements=tuple(one.measurement for one in findings),
            tables=tuple(self.tables(by_function)),
            notes=tuple(self.notes(by_function)) if self.notes else (),
        )


def measure(cell: Cell, context: Context, threads: int = 1) -> Finding:
    """Measures one cell with a number of torch's threads, which is set back afterwards.

    Raises:
        ValueError: ``cell.function`` names no function, or its result is not JSON.
    """
    import torch

    module, _, name = cell.function.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    calibration, before = Calibration(), torch.get_num_threads()
    calibration.measure()
    torch.set_num_threads(threads)
    start = time.monotonic()
    try:
        result = function(context, seed=cell.seed, **cell.arguments)
    finally:
        torch.set_num_threads(before)
    seconds = time.monotonic() - start
    calibration.measure()
    measurement = Measurement(
        date=datetime.now(timezone.utc).date().isoformat(),
        commit=commit(),
        machine=asdict(describe()),
        seconds=round(seconds, 3),
        threads=threads,
        busy=calibration.reasons(),
    )
    return Finding(cell, json.loads(json.dumps(result, allow_nan=False)), measurement)


def commit() -> str:
    """The short commit of the checkout, with "+" if tracked files differ; "unknown" outside a checkout."""
    folder = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--exclude=*", "--dirty=+"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


@contextmanager
def _claimed(path: Path, wait: bool) -> Iterator[bool]:
    """Holds a lock that ends with the process; False, without ``wait``, while another process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _store(path: Path, value: Any) -> None:
    """Writes JSON so that the file is there whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
