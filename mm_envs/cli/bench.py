"""``mm-envs bench``: measures, and prints what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import tyro

from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least, resolve

# Every benchmark, as a function of the options and of who is told the progress.
BENCHMARKS: dict[str, str] = {
    "throughput": "benchmarks.throughput:bench",
    "agents": "benchmarks.agents:bench",
    "metrics": "benchmarks.metric_agreement:bench",
    "metric-speed": "benchmarks.metric_speed:bench",
    "kills": "benchmarks.kills:bench",
    "malformed": "benchmarks.malformed:bench",
    "modalities": "benchmarks.three_modalities:bench",
    "real-sets": "benchmarks.real_sets:bench",
    "people": "benchmarks.people:bench",
    "store": "benchmarks.store_faults:bench",
    "reward-speed": "benchmarks.reward_speed:bench",
    "later-policy": "benchmarks.later_policy:bench",
    "label-efficiency": "benchmarks.label_efficiency:bench",
    "teachers": "benchmarks.teachers:bench",
}


class Report(Protocol):
    """What a benchmark found."""

    @property
    def met(self) -> bool:
        """Whether every target was met."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values, with the machine."""
        ...

    def tables(self) -> Sequence[Any]:
        """``benchmarks.reports.Table``: title, columns and rows for people."""
        ...

    def lines(self) -> Sequence[str]:
        """What is said beneath the tables."""
        ...


@dataclass(frozen=True)
class Bench:
    """Measure, and print what was found.

    The exit status is 1 if a target is missed (not with --quick, which measures nothing).

    Attributes:
        what: "throughput": row-steps a second against plain Python environments under the vector
            environments of Gymnasium and Stable-Baselines3. "agents": PPO on real digits, trained on the
            noisy annotator and on the truth, five seeds each. "metrics": text metrics beside public
            implementations, their authors' scores and people's judgements. "metric-speed": their speed
            beside the same. "kills": trainings that are killed at random moments and resumed, beside those
            that nobody killed. "malformed": broken files and manifests, each of which has to be refused in
            one clear sentence. "modalities": PPO on digits that are written, spoken and called odd or even,
            with every combination of the three. "real-sets": PPO on five small sets of real pictures, sounds
            and videos, beside policies that do not look. "people": metrics, reward models and learned trust
            beside captions that people judged and emotions that people heard and saw. "store": the
            preference store with writers killed, many at once, and everything wrong that can be.
            "reward-speed": reward models trained and scoring, beside imitation in a Python of its own.
            "later-policy": a reward model on answers of a policy that was trained on it afterwards.
            "label-efficiency": who to trust, learnt with the reward from single votes of a crowd, beside
            plain Bradley-Terry with five times the labels; and Dawid-Skene beside the majority.
            "teachers": B-Pref's six teachers, asked about pairs that are chosen in several ways.
        data: The folder that holds the sets of real data, for the benchmarks that need them.
        json: Print JSON instead of tables.
        quick: A few short turns at small sizes: shows that everything runs, and measures nothing.
        threads: Threads of torch while it runs.
    """

    what: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(constructor=tyro.extras.literal_type_from_choices(list(BENCHMARKS))),
    ] = "throughput"
    data: Path | None = None
    json: bool = False
    quick: bool = False
    threads: int = 2

    def run(self) -> int:
        """Measures and prints."""
        at_least("--threads", self.threads, 1, "give the number of threads")
        measure: Callable[[Bench, Callable[[str], None]], Report]
        measure = resolve("benchmark", self.what, BENCHMARKS)
        out, notes = console(self.json), console(json_output=True)
        with torch_threads(self.threads):
            report = measure(self, lambda said: notes.print(f"[dim]measuring {said}[/]"))
        if self.json:
            print_json(report.to_dict())
        else:
            _print(report, out)
            if self.quick:
                out.print("--quick shows that everything runs: these numbers mean nothing", style="yellow")
        return 0 if self.quick or report.met else 1

    def folder(self, name: str) -> Path:
        """The folder of a set of real data.

        Raises:
            ValueError: ``--data`` is missing.
            FileNotFoundError: The set is not there.
        """
        if self.data is None:
            raise ValueError(f"benchmark {self.what!r} reads real data: say where with --data FOLDER")
        folder = self.data / name
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} does not exist: docs/public_sets.md says where it can be had")
        return folder


def _print(report: Report, out: Any) -> None:
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
