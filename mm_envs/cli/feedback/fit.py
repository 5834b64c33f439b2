"""``mm-envs feedback fit``: a reward model from the labels of a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from mm_envs.cli.output import console, print_json, shown, with_interval
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least, check_one_of


@dataclass(frozen=True)
class Fit:
    """Fit an ensemble of reward models to all feedback of a store, whatever its kinds.

    A share of the items is held out: their labels measure accuracy and calibration of the model. Train an
    agent on it with mm-envs train ID --feedback reward_model:FOLDER.

    Attributes:
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        out: The folder to write to.
        loss: What labels of pairs cost: bradley_terry; joint, which learns how reliable
            annotators are; noise_mix, label_smoothing, margin; rao_kupper or davidson for ties.
        members: How many reward models.
        initial: The folder of a policy from whose encoder and decoder every member starts.
        aggregation: How scores of members become one: mean, min, or uwo (mean minus variance).
        freeze: What is shared by all members and not trained: nothing, context or trunk; with --initial.
        epochs: At most so many passes over the labels.
        patience: Passes without a better loss on held-out labels until a member stops.
        held_out: The share of the items whose labels test the model; 0 for none.
        seed: Decides weights, order and what is held out.
        id: Which environment, if the store holds several.
        data: The folder of the files that the items are made of, if they are.
        threads: Threads of torch; 0 for its own choice.
        overwrite: Write into a folder that is not empty.
        json: Print JSON.
    """

    db: str
    out: Path
    loss: str = "bradley_terry"
    members: int = 5
    initial: Path | None = None
    aggregation: Literal["mean", "min", "uwo"] = "mean"
    freeze: Literal["nothing", "context", "trunk"] = "nothing"
    epochs: int = 40
    patience: int = 10
    held_out: float = 0.1
    seed: int = 0
    id: str | None = None
    data: Path | None = None
    threads: int = 1
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Fits, writes and prints."""
        with torch_threads(self.threads):
            summary = fit(self)
        if self.json:
            print_json(summary)
        else:
            _print(summary, self.out, self.data)
        return 0


def fit(options: Fit) -> dict[str, Any]:
    """Fits and writes the folder; returns the summary.

    Raises:
        ValueError: An option does not fit, or the records do not.
        FileNotFoundError: There is no store, or no policy.
        FileExistsError: The folder is not empty.
    """
    from agents.run_folder import fresh_folder
    from feedback.reports import LOSSES, collected, fit_collected
    from feedback.reward_models import FitConfig
    from feedback.store import PreferenceStore

    check_one_of("--loss", options.loss, LOSSES)
    at_least("--held-out", options.held_out, 0)
    if options.held_out >= 1:
        raise ValueError(f"--held-out {options.held_out} leaves nothing to fit: give a share below 1")
    names = ("members", "aggregation", "freeze", "epochs", "patience", "seed")
    config = FitConfig(**{name: getattr(options, name) for name in names})
    with PreferenceStore(options.db, create=False) as store:
        all_of = collected(store, options.id, options.data)
    initial = None
    if options.initial is not None:
        from agents.policy_folder import load_policy

        initial = load_policy(options.initial, all_of.task)
    fresh_folder(options.out, options.overwrite)
    with console(json_output=True).status(f"fitting {options.members} reward models"):
        return fit_collected(all_of, options.out, config, options.loss, initial, options.held_out)


def _print(summary: dict[str, Any], folder: Path, data: Path | None) -> None:
    out, records, members = console(), summary["records"], summary["members"]
    out.print(
        f"[bold]{members} reward model{'s' if members > 1 else ''}[/] for {summary['id']} from "
        f"{records['fitted']:,} records ({summary['loss']}), {records['held_out']:,} held out",
        soft_wrap=True,
    )
    if summary["held_out"] is None:
        out.print("  no pairs were held out: the accuracy is not known", style="yellow")
    else:
        for what in ("labels", "truth"):
            found = summary["held_out"][what]
            if found is not None:
                share = with_interval(found["accuracy"], found["low"], found["high"])
                out.print(
                    f"  accuracy on {what:7} {share} of {found['n']:,} pairs, ties {found['tie_rate']:.1%} "
                    f"left out, {shown(found['sampler'])}",
                    soft_wrap=True,
                )
        found = summary["held_out"]
        out.print(
            f"  calibration        ECE {found['ece']:.3f}, Brier {found['brier']:.3f}, "
            f"NLL {found['nll']:.3f}, temperature {summary['temperature']:.3f}"
        )
        if summary["held_out"]["labels"] is not None and summary["held_out"]["labels"]["low"] <= 0.5:
            out.print("  by the labels it may be no better than chance: collect more", style="yellow")
    if summary["skill"]:
        out.print("  skill: how often labels are as perceived; 0.5 is a coin, 0 the opposite", style="dim")
    for name, value in (summary["skill"] or {}).items():
        out.print(f"  skill {shown(name):14} {value:.3f}")
    given = "".join(f" --set {quote(one)}" for one in summary["set"])
    given += "" if data is None else f" --data {quote(str(data))}"
    given += f" --feedback {quote(f'reward_model:{folder}')}"
    out.print(f"[dim]next: mm-envs train {summary['id']}{shown(given)} --out RUN[/]", soft_wrap=True)
