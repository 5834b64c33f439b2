"""Agents on small sets of real pictures, sounds and videos, compared with blind and random policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.sb3.settings import PPOSettings
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.held_out import Training, trained, unlearned
from benchmarks.experiments.sets.clips import clips
from benchmarks.experiments.sets.flags import flags
from benchmarks.experiments.sets.folds import group_of, held_out_fold
from benchmarks.experiments.statistics import difference_interval
from benchmarks.report import Table
from mm_envs.data.folder import Folder
from mm_envs.data.layouts import read_source
from mm_envs.data.records import Source
from mm_envs.statistics import mean_interval

POLICIES = ("trained", "blind", "random", "oracle")


@dataclass(frozen=True)
class Trial:
    """A set and the settings of its agents.

    Attributes:
        asked: The question.
        id: The environment.
        read: The items of the folder.
        training: How the agent of one fold is trained.
        folds: The number of folds; 0 for the splits of the set.
        form: Arguments of ``Folder``.
    """

    asked: str
    id: str
    read: Callable[[Path], Source]
    training: Training
    folds: int = 0
    form: Mapping[str, Any] = field(default_factory=dict)


def utilities(context: Context, seed: int, set: str, fold: int, short: bool = False) -> dict[str, Any]:
    """Trains an agent on a set and shows every held-out item to it and to the policies without training.

    Args:
        context: Names the folder of the set.
        seed: Of the agent.
        set: A key of ``TRIALS``.
        fold: The fold that is held out, if the set is split into folds.
        short: Whether to train for a few steps only.

    Returns:
        The utility of each policy on each held-out item, and "groups".
    """
    trial = TRIALS[set]
    source = trial.read(context.folder(set))
    groups = {record.location: group_of(record, source.group) for record in source.records}
    dataset = Folder(held_out_fold(source, fold, trial.folds) if trial.folds else source, **trial.form)
    plan = replace(trial.training, seed=seed)
    found = {"trained": trained(trial.id, dataset, plan.short() if short else plan)}
    found |= unlearned(trial.id, dataset)
    items = [groups[dataset.locations[item]] for item in dataset.range("test")]
    return {**{name: values.tolist() for name, values in found.items()}, "groups": items}


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Utility of every policy by set, over all its folds."""
    joined: dict[str, dict[str, list[Any]]] = {}
    for one in findings["utilities"]:
        of_set = joined.setdefault(one.cell.arguments["set"], {})
        for name, values in one.result.items():
            of_set.setdefault(name, []).extend(values)
    rows = []
    for name, found in joined.items():
        groups = found["groups"]
        means = [str(mean_interval(found[policy], groups)) for policy in POLICIES[:3]]
        gain = difference_interval(found["trained"], found["blind"], groups)
        verdict = "" if gain.low > 0 or gain.high < 0 else " (not significant)"
        size = f"{len(groups)} / {len(dict.fromkeys(groups))}"
        rows.append((f"{name}: {TRIALS[name].asked}", size, *means, f"{gain.format('+.3f')}{verdict}"))
    columns = ("set", "items / groups", *(f"{name} [95 %]" for name in POLICIES[:3]), "trained above blind")
    return [Table("Held-out utility (of the oracle: 1), one seed", columns, rows)]


_SETTINGS = PPOSettings(learning_rate=2e-3, n_epochs=3)
_FEW = PPOSettings(n_steps=8, n_minibatches=8, n_epochs=4, learning_rate=1e-3)

TRIALS: dict[str, Trial] = {
    "country_flags": Trial(
        "where the country lies, in a sentence",
        "MMCaption-v0",
        flags,
        Training(100_000, settings=_SETTINGS),
        folds=5,
        form={"size": (40, 60), "fit": "stretch"},
    ),
    "bccd_blood_cells": Trial(
        "how many cells of a kind",
        "MMVQA-v0",
        read_source,
        Training(30_000, settings=_SETTINGS),
        form={"size": (72, 96)},
    ),
    "nlvr1_dev": Trial(
        "whether a sentence is true",
        "MMVQA-v0",
        read_source,
        Training(40_000, settings=_SETTINGS),
        folds=5,
        form={"size": (40, 160), "on_error": "skip"},  # equal pictures under different sentences
    ),
    "esc10_folds12": Trial(
        "what makes the sound",
        "MMClassify-v0",
        read_source,
        Training(20_000, rows=64, settings=_FEW),
        folds=4,
        form={"sample_rate": 8_000, "seconds": 2.0},
    ),
    "minigrid_video_gifs": Trial(
        "the family of the environment",
        "MMClassify-v0",
        clips,
        Training(6_000, rows=64, settings=_FEW),
        folds=4,
        form={"size": 48, "frames": 4},
    ),
}

_FOLDED = ("esc10_folds12", "minigrid_video_gifs")

EXPERIMENT = Experiment(
    "Real pictures, sounds and videos",
    "Short trainings of PPO on the default feedback. Intervals have groups (recordings, photos, "
    "sentences) as "
    "clusters. The blind policy is given the question, but neither picture nor sound; on folds it may fall "
    "below chance, since a class that is held out more often is trained on less.",
    (
        Grid(
            utilities,
            {"fold": 0},
            {"set": tuple(name for name in TRIALS if name not in _FOLDED)},
            quick={"short": True},
        ),
        Grid(utilities, axes={"set": _FOLDED, "fold": range(4)}, quick={"short": True, "fold": 0}),
    ),
    tables,
)
