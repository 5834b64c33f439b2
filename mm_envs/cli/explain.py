"""``mm-envs explain``: what a trained agent or a reward model looks at, as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.settings import reward_model_setting, setting_of
from mm_envs.names import at_least

if TYPE_CHECKING:
    from rich.table import Table

    from agents.explaining import Explanation
    from agents.run_folder import Setting

PAGE, NUMBERS = "explanation.html", "explanation.json"


@dataclass(frozen=True)
class Explain:
    """Explain a trained agent, or a reward model: a page and numbers.

    Shapley values of the modalities; attention of words to pictures and sounds; and what changing one fact of
    a scene does to the answer.

    Attributes:
        folder: A folder that mm-envs train wrote with one of our trainers (sft, rloo, grpo, ...), or a
            reward model of mm-envs feedback fit.
        items: How many held-out items the numbers are of.
        examples: How many of them are drawn.
        out: The folder to write to; by default explain in the folder.
        absent: How a modality is taken away: mask (it is missing) or swap (that of another item).
        split: Which items.
        seed: Decides the items.
        data: The folder of the files that the items are made of, if it is not where it was in training.
        layout: How to read it; see mm-envs data describe.
        json: Print JSON.
    """

    folder: tyro.conf.Positional[Path]
    items: int = 200
    examples: int = 6
    out: Path | None = None
    absent: Literal["mask", "swap"] = "mask"
    split: Literal["train", "validation", "test"] = "test"
    seed: int = 0
    data: Path | None = None
    layout: str | None = None
    json: bool = False

    def run(self) -> int:
        """Explains, writes and prints."""
        at_least("--items", self.items, 2, "an interval needs two")
        at_least("--examples", self.examples, 0)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder} does not exist: give a folder of mm-envs train")
        name, found = explained(self)
        files = write(found, self.out or self.folder / "explain", name, str(self.folder))
        if self.json:
            print_json(
                {"id": name, **found.to_dict(), "files": {key: str(one) for key, one in files.items()}}
            )
            return 0
        out = console()
        out.print(_table(name, found))
        for line in _sentences(found):
            out.print(f"  {line}", soft_wrap=True)
        for key, path in files.items():
            out.print(f"  {key:8} [cyan]{shown(path)}[/]", soft_wrap=True)
        return 0


def explained(options: Explain) -> tuple[str, Explanation]:
    """The id of the environment, and the explanation.

    Raises:
        FileNotFoundError: The folder holds neither an agent nor a reward model.
        ValueError: The agent acts step by step (Stable-Baselines3), or a number does not fit.
    """
    from agents.comparison import evaluation_items
    from agents.explaining import explain
    from agents.policy_folder import load_policy

    setting = reward_model_setting(options.folder, options.data, options.layout)
    if setting is not None:
        return _reward_model(options, setting)
    setting = setting_of(str(options.folder), data=options.data, layout=options.layout)
    task = setting.make(1).task
    policy = load_policy(options.folder, task)
    items = evaluation_items(setting, options.items, options.split, options.seed)
    return setting.id, explain(policy, task, items, options.examples, options.absent)


def _reward_model(options: Explain, setting: Setting) -> tuple[str, Explanation]:
    from agents.comparison import evaluation_items
    from feedback.explaining import explain_reward_model
    from feedback.reward_models import load

    task = setting.make(1).task
    model = load(options.folder, task)
    items = evaluation_items(setting, options.items, options.split, options.seed)
    found = explain_reward_model(model, task, items, options.examples, options.absent, options.seed)
    return setting.id, found


def write(found: Explanation, folder: Path, name: str, subject: str) -> dict[str, Path]:
    """Writes the page and the numbers; returns the files by name."""
    import json

    from agents.explaining import page
    from mm_envs.values import finite

    folder.mkdir(parents=True, exist_ok=True)
    files = {"page": folder / PAGE, "numbers": folder / NUMBERS}
    files["page"].write_text(page(found, f"Explanation on {name}", subject), encoding="utf-8")
    numbers: Any = finite({"id": name, **found.to_dict()})
    files["numbers"].write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    return files


def _table(name: str, found: Explanation) -> Table:
    """The Shapley values: a line for each modality, a column for each game."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"{name}: Shapley values of modalities, {found.items:,} items"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    table.add_column("modality")
    for game in found.attributions:
        table.add_column(f"{game} [95 %]", justify="right")
    columns = [one.intervals() for one in found.attributions.values()]
    for key in columns[0]:
        table.add_row(key, *(shown(column[key]) for column in columns))
    return table


def _sentences(found: Explanation) -> list[str]:
    """Counterfactuals and grounding, where there are some."""
    lines = []
    if found.swaps is not None:
        sensitivity, invariance = (
            shown(one or "-") for one in (found.swaps.sensitivity, found.swaps.invariance)
        )
        lines += [
            f"counterfactual swaps: {len(found.swaps):,}; where the truth changes, the answer changes "
            f"{sensitivity}; where it stays, the answer stays {invariance}"
        ]
    if found.grounding is not None:
        one = found.grounding
        lines += [
            f"attention on the object asked about: {shown(one.interval)}, {one.times_chance:.1f} times chance"
        ]
    return lines
