"""``mm-envs bench``: measures, and prints the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from benchmarks import BENCHMARKS
from mm_envs.cli.output import console, print_json
from mm_envs.names import at_least, resolve

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.report import Report


@dataclass(frozen=True)
class Bench:
    """Measure, and print the tables.

    Attributes:
        what: "throughput": row-steps a second against plain Python environments under the vector
            environments of Gymnasium and Stable-Baselines3. "agents": PPO trained on the simulated annotator
            and on the truth, five seeds each. "reward-models": captions a second that ensembles score.
            "fusion": every fusion trained on good answers, by environment.
        out: A folder that keeps finished cells: a run that was stopped goes on from them.
        json: Print JSON instead of tables.
        quick: Small cells: shows that everything runs, and measures nothing.
        threads: Threads of torch while it runs.
        fusions: Other fusions than all (of "fusion").
        ids: Other environments than the default ones (of "fusion" and "agents").
        seeds: Another number of seeds.
        steps: Other training steps than the default ones (of "fusion" and "agents").
    """

    what: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(constructor=tyro.extras.literal_type_from_choices(list(BENCHMARKS))),
    ] = "throughput"
    out: Path | None = None
    json: bool = False
    quick: bool = False
    threads: int = 2
    fusions: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    seeds: int | None = None
    steps: int | None = None

    def run(self) -> int:
        """Measures and prints."""
        from benchmarks.experiment import Context, Experiment

        at_least("--threads", self.threads, 1, "give the number of threads")
        experiment: Experiment = resolve("benchmark", self.what, BENCHMARKS)
        changes = self._changes()
        if self.seeds is not None:
            at_least("--seeds", self.seeds, 1, "give the number of seeds")
        experiment = experiment.changed(changes, None if self.seeds is None else range(self.seeds))
        notes = console(json_output=True)
        context = Context(progress=lambda message: notes.print(f"[dim]measuring {message}[/]"))
        with TemporaryDirectory() as folder:
            cells = self.out or Path(folder)
            findings = experiment.run(cells, context, quick=self.quick, threads=self.threads)
        report = experiment.report(findings, self._command())
        if self.json:
            print_json(report.to_json())
        else:
            _print(report, console())
            if self.quick:
                notes.print("--quick shows that everything runs: these numbers mean nothing", style="yellow")
        return 0

    def _changes(self) -> dict[str, Sequence[Any]]:
        """Values of arguments of cells that were given."""
        steps = () if self.steps is None else (self.steps,)
        given = {"fusion": self.fusions, "id": self.ids, "steps": steps}
        return {name: values for name, values in given.items() if values}

    def _command(self) -> str:
        """What measures the same again."""
        given: dict[str, Sequence[Any]] = {"fusions": self.fusions, "ids": self.ids}
        numbers = {"seeds": self.seeds, "steps": self.steps, "threads": self.threads}
        given |= {name: (number,) for name, number in numbers.items() if number is not None}
        options = [f"--{name} {' '.join(map(str, values))}" for name, values in given.items() if values]
        return " ".join(["mm-envs bench", self.what, *options])


def _print(report: Report, out: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for shown in report.tables:
        table = Table(box=SIMPLE_HEAD, title=shown.title, title_justify="left")
        for i, column in enumerate(shown.columns):
            table.add_column(column, justify="left" if i == 0 else "right")
        for row in shown.rows:
            table.add_row(*row)
        out.print(table)
    for line in (*report.measured(), *report.notes):
        out.print(line, style="bold red" if line.startswith("Busy") else "dim")
