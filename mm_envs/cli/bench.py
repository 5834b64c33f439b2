"""``mm-envs bench``: measures, and prints what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import tyro

from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least

if TYPE_CHECKING:
    from benchmarks.agents import AgentsReport
    from benchmarks.throughput_report import ThroughputReport


@dataclass(frozen=True)
class Bench:
    """Measure: the engine against the same task in plain Python, or agents trained on feedback.

    The exit status is 1 if a target is missed (not with --quick, which measures nothing).

    Attributes:
        what: "throughput": row-steps a second against plain Python environments under the vector
            environments of Gymnasium and Stable-Baselines3. "agents": PPO on real digits, trained on the
            noisy rater and on the truth, five seeds each.
        json: Print JSON instead of tables.
        quick: A few short turns at small sizes: shows that everything runs, and measures nothing.
        threads: Threads of torch while it runs.
    """

    what: tyro.conf.Positional[Literal["throughput", "agents"]] = "throughput"
    json: bool = False
    quick: bool = False
    threads: int = 2

    def run(self) -> int:
        """Measures and prints."""
        at_least("--threads", self.threads, 1, "give the number of threads")
        out, notes = console(self.json), console(json_output=True)

        def progress(said: str) -> None:
            notes.print(f"[dim]measuring {said}[/]")

        report: ThroughputReport | AgentsReport
        if self.what == "agents":
            from benchmarks.agents import agents

            quick: dict[str, Any] = {"seeds": range(2), "steps": 4096} if self.quick else {}
            with torch_threads(self.threads):
                report = agents(progress=progress, **quick)
        else:
            from benchmarks.throughput import throughput

            report = throughput(threads=self.threads, quick=self.quick, progress=progress)
        if self.json:
            print_json(report.to_dict())
        else:
            from rich.box import SIMPLE_HEAD
            from rich.table import Table

            for shown in report.tables():
                table = Table(box=SIMPLE_HEAD, title=shown.title, title_justify="left")
                for i, column in enumerate(shown.columns):
                    table.add_column(column, justify="left" if i == 0 else "right")
                for row in shown.rows:
                    table.add_row(*row)
                out.print(table)
            for line in report.lines():
                out.print(line, style="bold red" if line.startswith("BUSY") else "dim")
            if self.quick:
                out.print("--quick shows that everything runs: these numbers mean nothing", style="yellow")
        return 0 if self.quick or report.met else 1
