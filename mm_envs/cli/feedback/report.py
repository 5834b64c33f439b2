"""``mm-envs feedback report``: what the labels of a store are worth, and what a model makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least

if TYPE_CHECKING:
    from rich.table import Table

    from feedback.reports import Findings


@dataclass(frozen=True)
class Report:
    """Write a report on the feedback of a store as one HTML page that loads nothing.

    Annotators with their accuracy, skill and who to stop asking; agreement; calibration of a reward model;
    and its accuracy over the number of labels, for which small models are fitted.

    Attributes:
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        out: The page to write.
        model: The folder of a reward model (mm-envs feedback fit) whose calibration is shown.
        curve: How many points the learning curve has; 0 for none, which is quicker.
        epochs: Passes over the labels of each fit.
        seed: Decides how labels are split, and the fits.
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
        from feedback.reports import page

        source = self.db if self.model is None else f"{self.db}, reward model {self.model}"
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(page(found, f"{source}; answers: {found.sampler}"), encoding="utf-8")
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
    """The findings on the records of a store.

    Raises:
        ValueError: There are too few comparisons, or the model is for another task.
        FileNotFoundError: There is no store or no model.
    """
    from feedback.reports import collected, findings, held_out_items
    from feedback.reward_models import load
    from feedback.store import PreferenceStore

    with PreferenceStore(options.db, create=False) as store:
        all_of = collected(store, options.id, options.data)
    model = None if options.model is None else load(options.model, all_of.task)
    held_out = [] if options.model is None else held_out_items(options.model)
    with console(json_output=True).status("fitting small models"):
        return findings(all_of, model, held_out, options.curve, options.epochs, options.seed)


def _table(found: Findings) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shared = found.agreement
    agreed = f"alpha {shared.alpha:.3f} on {shared.shared:,} pairs with several votes"
    title = f"{found.id}: {agreed if shared.shared else 'no pair has several votes'}"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for name in ("annotator", "labels", "right", "skill [95 %]", "verdict"):
        table.add_column(name, justify="left" if name in ("annotator", "verdict") else "right")
    for one in found.annotators:
        skill = f"{one.skill.skill:.2f} [{one.skill.low:.2f}, {one.skill.high:.2f}]"
        name, labels = shown(one.skill.name), f"{one.skill.labels:,}"
        table.add_row(name, labels, f"{one.truth:.2f}", shown(skill), one.skill.verdict)
    return table
