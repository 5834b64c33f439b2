"""``mm-envs feedback report``: what a store says of its annotators, and what a model makes of it."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli.feedback.fit import SUMMARY
from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least

if TYPE_CHECKING:
    from rich.table import Table

    from mm_envs.cli.feedback.findings import Findings


@dataclass(frozen=True)
class Report:
    """Write a report on the feedback of a store as one HTML page that needs nothing besides itself.

    Annotators with their accuracy, skill and who to stop asking; agreement; calibration of a reward model;
    and its accuracy over the number of labels, for which small models are fitted.

    Attributes:
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        out: The page to write.
        model: The folder of a reward model (mm-envs feedback fit) whose calibration is shown.
        curve: How many points the learning curve has; 0 for none, which is quicker.
        epochs: Passes over the labels of each fit.
        seed: Decides how labels are parted, and the fits.
        id: Which environment, if the store holds several.
        data: The folder of the files that the items are made of, if they are.
        threads: Threads of torch; 0 for its own choice.
        json: Print JSON.
    """

    db: str
    out: Path
    model: Path | None = None
    curve: int = 4
    epochs: int = 40
    seed: int = 0
    id: str | None = None
    data: Path | None = None
    threads: int = 1
    json: bool = False

    def run(self) -> int:
        """Computes, writes and prints."""
        at_least("--curve", self.curve, 0)
        at_least("--epochs", self.epochs, 1)
        with torch_threads(self.threads):
            found = report(self)
        from mm_envs.cli.feedback.report_page import page

        said = f"{self.db}" if self.model is None else f"{self.db}, reward model {self.model}"
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(page(found, f"{said}; answers: {found.sampler}"), encoding="utf-8")
        if self.json:
            print_json({"out": self.out, **found.to_dict()})
            return 0
        out = console()
        out.print(_table(found))
        for name, value in found.calibration.items():
            out.print(f"  {name:6} {value:.3f}")
        out.print(f"  page   [cyan]{shown(self.out)}[/]", soft_wrap=True)
        return 0


def report(options: Report) -> Findings:
    """What the report says.

    Raises:
        ValueError: There are too few comparisons, or the model is for another task.
        FileNotFoundError: There is no store or no model.
    """
    from feedback.reward_models import load
    from feedback.store import PreferenceStore
    from mm_envs.cli.feedback.findings import findings
    from mm_envs.cli.feedback.source import collected

    with PreferenceStore(options.db, create=False) as store:
        all_of = collected(store, options.id, options.data)
    model = None if options.model is None else load(options.model, all_of.task)
    held_out = [] if options.model is None else _held_out(options.model)
    with console(json_output=True).status("fitting small models"):
        return findings(all_of, model, held_out, options.curve, options.epochs, options.seed)


def _held_out(folder: Path) -> list[int]:
    """The items that a model was not fitted to; none if nobody says so."""
    try:
        items = json_text.loads((folder / SUMMARY).read_text(encoding="utf-8"))["held_out_items"]
        return [int(one) for one in items]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def _table(found: Findings) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shared = found.agreement
    agreed = f"alpha {shared.alpha:.3f} on {shared.shared:,} pairs with several votes"
    title = f"{found.id}: {agreed if shared.shared else 'no pair has several votes'}"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for name in ("annotator", "labels", "right", "skill [95 %]", "verdict"):
        table.add_column(name, justify="left" if name in ("annotator", "verdict") else "right")
    for voice in found.voices:
        one = voice.skill
        skill = f"{one.skill:.2f} [{one.low:.2f}, {one.high:.2f}]"
        table.add_row(shown(one.name), f"{one.labels:,}", f"{voice.truth:.2f}", shown(skill), one.verdict)
    return table
