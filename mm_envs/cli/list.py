"""``mm-envs list``: all environment ids with the scores of the baseline policies."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least
from mm_envs.tasks import CONFIGURATIONS

if TYPE_CHECKING:
    from rich.table import Table

_NOTE = (
    "blind, random, oracle: mean utility (the truth, from 0 to 1) of the baseline policies on the validation "
    "split. blind gives the best answer that ignores every picture and sound."
)


@dataclass(frozen=True)
class List:
    """List every environment id, with the utility of the blind, the random and the oracle policy.

    Attributes:
        json: Print JSON instead of a table.
        items: Number of items of the validation split on which the policies are scored.
    """

    json: bool = False
    items: int = 1000

    def run(self) -> int:
        """Prints the table."""
        from mm_envs.documentation.pages import describe

        at_least("--items", self.items, 1, "score on at least one item")
        out = console(self.json)
        waiting = out.status("scoring the baseline policies")
        with torch_threads(1), waiting if out.is_terminal else nullcontext():
            entries = [describe(name, self.items) for name in CONFIGURATIONS]
        if self.json:
            print_json(entries)
        else:
            for task, about in {entry["task"]: entry["about"] for entry in entries}.items():
                out.print(f" [bold]{task}[/]: {about}", soft_wrap=True)
            out.print(_table(entries))
            out.print(_NOTE, style="dim")
        return 0


def _table(entries: list[dict[str, Any]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("environment", "sees", "action"):
        table.add_column(heading, no_wrap=heading != "sees", min_width=8)
    for heading in ("steps", "blind", "random", "oracle"):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, entry in enumerate(entries):
        arguments = [f"{key}={value}" for key, value in entry["arguments"].items() if key != "task"]
        name = f"[bold]{entry['id']}[/]" + "".join(f"\n[dim]{escape(one)}[/]" for one in arguments)
        observation = " ".join(key for key in entry["observation"] if not key.endswith("_length"))
        scores = [f"{score['mean']:.2f}" for score in entry["utility"].values()]
        last = i + 1 == len(entries) or entries[i + 1]["task"] != entry["task"]
        table.add_row(name, observation, entry["actions"], str(entry["horizon"]), *scores, end_section=last)
    return table
