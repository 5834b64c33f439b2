"""``mm-envs evaluate``: a trained agent on held-out items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from mm_envs.cli.output import console, print_json
from mm_envs.cli.settings import setting_of
from mm_envs.names import at_least

if TYPE_CHECKING:
    from rich.table import Table

    from agents.comparison import Comparison


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a trained agent on held-out items, and the blind, the random and the oracle policy.

    Attributes:
        folder: A folder that mm-envs train wrote; or an id, for the baseline policies.
        episodes: How many items of the split, at most; each is shown once.
        split: Which items.
        seed: Decides the items and the noise of the feedback.
        feedback: Who gives the reward, instead of who gave it in training; needed where that was an object,
            or a module:attribute, which is never run because a file names it.
        data: The folder of the files that the items are made of, if it is not where it was in training.
        layout: How to read it; see mm-envs data describe.
        device: Where it runs: cpu or cuda.
        json: Print JSON instead of a table.
    """

    folder: tyro.conf.Positional[str]
    episodes: int = 1000
    split: Literal["train", "validation", "test"] = "test"
    seed: int = 0
    feedback: str | None = None
    data: Path | None = None
    layout: str | None = None
    device: str = "cpu"
    json: bool = False

    def run(self) -> int:
        """Evaluates and prints."""
        from agents.comparison import compare

        at_least("--episodes", self.episodes, 1, "evaluate on at least one")
        setting = setting_of(self.folder, self.device, self.feedback, self.data, self.layout)
        comparison = compare(setting, self.episodes, self.split, self.seed)
        if self.json:
            print_json(comparison.to_dict())
        else:
            console().print(comparison_table(comparison))
        return 0


def comparison_table(comparison: Comparison) -> Table:
    """One line a policy."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"{comparison.id}: {comparison.episodes:,} episodes of the {comparison.split} split"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("policy")
    table.add_column("utility [95 %]", justify="right")
    table.add_column("reward [95 %]", justify="right")
    for name, one in comparison.evaluations.items():
        numbers = (str(one.mean_utility), str(one.mean_reward))
        table.add_row(name, *numbers, style="bold" if name == "trained" else None)
    return table
