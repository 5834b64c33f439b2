"""``mm-envs evaluate``: a trained agent on held-out items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from mm_envs.cli.output import console, print_json
from mm_envs.cli.settings import setting_of
from mm_envs.names import at_least

if TYPE_CHECKING:
    from rich.table import Table

    from agents.best_of_n import BestOf
    from agents.comparison import Comparison
    from agents.run_folder import Setting


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
        best_of: Also the best of 1, 2, 4, ... up to so many answers, by the reward: what it is worth in true
            utility, and how far it is from the policy. --feedback reward_model:FOLDER chooses by a reward
            model.
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
    best_of: int | None = None
    device: str = "cpu"
    json: bool = False

    def run(self) -> int:
        """Evaluates and prints."""
        from agents.comparison import compare

        at_least("--episodes", self.episodes, 1, "evaluate on at least one")
        setting = setting_of(self.folder, self.device, self.feedback, self.data, self.layout)
        if self.best_of is not None:
            return self._best_of(setting, self.best_of)
        comparison = compare(setting, self.episodes, self.split, self.seed)
        if self.json:
            print_json(comparison.to_dict())
        else:
            console().print(comparison_table(comparison))
        return 0

    def _best_of(self, setting: Setting, n: int) -> int:
        """Prints what the best of n answers is worth."""
        from agents.best_of_n import best_of_n
        from agents.comparison import evaluation_items
        from agents.policy_folder import load_policy

        at_least("--best-of", n, 1, "draw at least one answer")
        if setting.agent is None:
            raise ValueError(f"--best-of {n} draws answers of an agent: give a folder of mm-envs train")
        items = evaluation_items(setting, self.episodes, self.split, self.seed)
        envs = setting.make(len(items), split=self.split)
        envs.reset(seed=self.seed, options={"items": items})
        policy = load_policy(setting.agent, envs.task).to(setting.device)
        found = best_of_n(policy, envs, n)
        if self.json:
            about = {"id": setting.id, "split": self.split, "episodes": len(items)}
            print_json({**about, "best_of": [asdict(one) for one in found]})
        else:
            console().print(best_of_table(found, f"{setting.id}: {len(items):,} items of {self.split}"))
        return 0


def best_of_table(found: Sequence[BestOf], title: str) -> Table:
    """One line a number of answers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    exact = found[0].kl is not None
    names = ("best of", "utility", "reward", *(["KL"] if exact else []), "log n - (n-1)/n")
    for name in names:
        table.add_column(name, justify="right")
    for one in found:
        numbers = (one.utility, one.reward, one.kl, one.kl_bound)
        table.add_row(str(one.n), *(f"{number:.3f}" for number in numbers if number is not None))
    return table


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
