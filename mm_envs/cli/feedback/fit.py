"""``mm-envs feedback fit``: a reward model from what was said."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from mm_envs.cli.output import console, print_json, shown, with_interval
from mm_envs.cli.threads import torch_threads
from mm_envs.names import at_least, one_of

if TYPE_CHECKING:
    from torch import nn

    from feedback.preferences import Labelled
    from feedback.reward_models import Fitted
    from mm_envs.cli.feedback.judged import Judged

SUMMARY = "fit.json"
LOSSES = ("bradley_terry", "joint", "noise_mix", "label_smoothing", "margin", "rao_kupper", "davidson")


@dataclass(frozen=True)
class Fit:
    """Fit an ensemble of reward models to all feedback of a store, whatever its kinds.

    A share of the items is held out: their labels say how right and how well calibrated the model is. Train
    an agent on it with mm-envs train ID --feedback reward_model:FOLDER.

    Attributes:
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        out: The folder to write to.
        loss: What labels of pairs cost: bradley_terry; joint, which learns whom to trust; noise_mix,
            label_smoothing, margin; rao_kupper or davidson for ties.
        members: How many reward models.
        initial: The folder of a policy from whose encoder and decoder every member starts.
        aggregation: How scores of members become one: mean, min, or uwo (mean minus variance).
        freeze: What is shared by all members and not trained: nothing, context or trunk; with --initial.
        epochs: At most so many passes over the labels.
        patience: Passes without a better loss on labels kept aside until a member stops.
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
    """Fits and writes the folder.

    Returns:
        What was found, as JSON values; the folder holds it, too.

    Raises:
        ValueError: An option does not fit, or the records do not.
        FileNotFoundError: There is no store, or no policy.
        FileExistsError: The folder is not empty.
    """
    from agents.run_folder import fresh_folder
    from agents.store import write_json

    if options.loss not in LOSSES:
        raise ValueError(one_of("--loss", options.loss, LOSSES))
    at_least("--held-out", options.held_out, 0)
    if options.held_out >= 1:
        raise ValueError(f"--held-out {options.held_out} leaves nothing to fit: give a share below 1")
    from feedback.reward_models import FitConfig, save
    from feedback.reward_models import fit as fitted_to
    from feedback.store import PreferenceStore
    from mm_envs.cli.feedback.judged import judged, parted
    from mm_envs.cli.feedback.source import collected

    config = FitConfig(
        members=options.members,
        aggregation=options.aggregation,
        freeze=options.freeze,
        epochs=options.epochs,
        patience=options.patience,
        seed=options.seed,
    )
    with PreferenceStore(options.db, create=False) as store:
        all_of = collected(store, options.id, options.data)
    train, test = parted(all_of, options.held_out, options.seed)
    labelled, initial = train.labelled(), None
    if options.initial is not None:
        from agents.policy_folder import load_policy

        initial = load_policy(options.initial, all_of.task)
    fresh_folder(options.out, options.overwrite)
    with console(json_output=True).status(f"fitting {options.members} reward models"):
        fitted = fitted_to(
            labelled, all_of.task, config, initial=initial, likelihood=_likelihood(options.loss, labelled)
        )
    save(fitted.model, options.out, fitted.records)
    summary = {
        "id": all_of.id,
        "set": all_of.given,
        "out": str(options.out),
        "loss": options.loss,
        "members": options.members,
        "records": {"fitted": len(train.records), "held_out": len(test.records)},
        "epochs": [len(one) for one in fitted.history],
        "temperature": float(fitted.model.temperature),
        "held_out": _measured(judged(fitted.model, test)) if test.pairs else None,
        "skill": _skill(fitted, labelled),
        "held_out_items": sorted(set(test.places.values())),
    }
    write_json(options.out / SUMMARY, summary)
    return summary


def _likelihood(loss: str, labelled: Labelled) -> nn.Module:
    """What labels cost."""
    from feedback.aggregation import Reliability
    from feedback.losses import Likelihood, PairLikelihood

    labels, people = sum(map(len, labelled.labels)), len(labelled.annotators)
    if loss == "joint":
        return Likelihood(Reliability(people, labels=labels), annotators=people, labels=labels)
    if loss in ("rao_kupper", "davidson"):
        return Likelihood(PairLikelihood(ties=loss), labels=labels)
    return Likelihood(PairLikelihood(loss), labels=labels)


def _skill(fitted: Fitted, labelled: Labelled) -> dict[str, float] | None:
    """How often each annotator says what they see, as the joint loss learnt it."""
    import torch

    from feedback.aggregation import Reliability

    pairs = [getattr(one, "pairs", None) for one in fitted.likelihoods]
    skills = [one.skill for one in pairs if isinstance(one, Reliability)]
    if not skills:
        return None
    return dict(zip(labelled.annotators, torch.stack(skills).mean(0).tolist(), strict=True))


def _measured(one: Judged) -> dict[str, Any]:
    """Accuracy and calibration on labels, and on the truth, as JSON values."""
    labels, truth = one.accuracy(), one.true_accuracy()
    return {
        "labels": None if labels is None else asdict(labels),
        "truth": None if truth is None else asdict(truth),
        **one.calibration(),
    }


def _print(summary: dict[str, Any], folder: Path, data: Path | None) -> None:
    out, records, members = console(), summary["records"], summary["members"]
    out.print(
        f"[bold]{members} reward model{'s' if members > 1 else ''}[/] for {summary['id']} from "
        f"{records['fitted']:,} records ({summary['loss']}), {records['held_out']:,} held out",
        soft_wrap=True,
    )
    if summary["held_out"] is None:
        out.print("  no pairs were held out: nothing says how right the model is", style="yellow")
    else:
        for what in ("labels", "truth"):
            found = summary["held_out"][what]
            if found is not None:
                said = with_interval(found["accuracy"], found["low"], found["high"])
                out.print(
                    f"  accuracy on {what:7} {said} of {found['n']:,} pairs, ties {found['tie_rate']:.1%} "
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
        out.print(
            "  trust: how often each says what they see; 0.5 is a coin, below it the opposite", style="dim"
        )
    for name, value in (summary["skill"] or {}).items():
        out.print(f"  trust {shown(name):14} {value:.3f}")
    given = "".join(f" --set {quote(one)}" for one in summary["set"])
    given += "" if data is None else f" --data {quote(str(data))}"
    given += f" --feedback {quote(f'reward_model:{folder}')}"
    out.print(
        f"[dim]next: mm-envs train {summary['id']}{shown(given)} --out RUN[/]",
        soft_wrap=True,
    )
