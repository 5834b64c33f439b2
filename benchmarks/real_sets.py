"""Agents on small sets of real pictures, sounds and videos, beside the policies that do not look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluate import Estimate
from agents.sb3.settings import PPOSettings
from benchmarks.clusters import clustered
from benchmarks.held_out import Training, trained, unlearned
from benchmarks.machine import Calibration
from benchmarks.reports import Options, Report, Table
from benchmarks.sets.clips import clips
from benchmarks.sets.flags import flags
from benchmarks.sets.folds import group_of, held_out_fold
from mm_envs.data.folder import Folder
from mm_envs.data.layouts import read_source
from mm_envs.data.records import Source

POLICIES = ("trained", "blind", "random", "oracle")


@dataclass(frozen=True)
class Trial:
    """One set, and how an agent is tried on it.

    Attributes:
        set: The name of the folder of the set.
        asked: What is asked, for people.
        id: The environment.
        read: The items of the folder.
        training: How the agent of one fold is trained.
        folds: How many folds the set is split into; 0 where it says its own splits.
        rounds: How many of the folds are held out, one after another, each with an agent of its own.
        form: Arguments of ``Folder``.
    """

    set: str
    asked: str
    id: str
    read: Callable[[Path], Source]
    training: Training
    folds: int = 0
    rounds: int = 1
    form: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Utility of every policy on each held-out item.

    Attributes:
        trial: What was tried.
        utility: Policy -> utility, (items,) float64.
        groups: The group of each item.
    """

    trial: Trial
    utility: Mapping[str, NDArray[np.float64]]
    groups: Sequence[str]

    def mean(self, policy: str) -> Estimate:
        """The mean utility of a policy, groups being the clusters."""
        return clustered(self.utility[policy], self.groups)

    @property
    def gain(self) -> Estimate:
        """How much more than the blind policy the agent reached, on the same items."""
        return clustered(self.utility["trained"] - self.utility["blind"], self.groups)


def attempt(trial: Trial, root: Path, progress: Callable[[str], None] = lambda said: None) -> Outcome:
    """Trains an agent for every round of a trial; what they reached on all held-out items, put together."""
    source = trial.read(root)
    groups_of = {record.location: group_of(record, source.group) for record in source.records}
    utility: dict[str, list[NDArray[np.float64]]] = {name: [] for name in POLICIES}
    groups: list[str] = []
    for fold in range(trial.rounds):
        progress(f"{trial.set}, round {fold + 1} of {trial.rounds}")
        chosen = held_out_fold(source, fold, trial.folds) if trial.folds else source
        dataset = Folder(chosen, **trial.form)
        utility["trained"].append(trained(trial.id, dataset, trial.training))
        for name, values in unlearned(trial.id, dataset).items():
            utility[name].append(values)
        groups += [groups_of[dataset.locations[item]] for item in dataset.range("test")]
    return Outcome(trial, {name: np.concatenate(parts) for name, parts in utility.items()}, groups)


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """``mm-envs bench real-sets``: what an agent learns from small sets of real files."""
    calibration = Calibration()
    calibration.measure()
    outcomes = [
        attempt(_short(trial) if options.quick else trial, options.folder(trial.set), progress)
        for trial in TRIALS
    ]
    calibration.measure()
    return report(outcomes, calibration.reasons())


def _short(trial: Trial) -> Trial:
    return replace(trial, training=trial.training.short(), rounds=1)


def report(outcomes: Sequence[Outcome], busy: Sequence[str] = ()) -> Report:
    """The outcomes as a table and JSON values. There is no target: the numbers are as they come."""
    rows = [
        (
            f"{one.trial.set}: {one.trial.asked}",
            f"{len(one.groups)} / {len(set(one.groups))}",
            *(_said(one.mean(name)) for name in POLICIES[:3]),
            f"{one.mean('oracle').mean:.3f}",
            f"{_said(one.gain)}{'' if one.gain.low > 0 else ' (not shown)'}",
        )
        for one in outcomes
    ]
    columns = ("set", "items / groups", *POLICIES, "gain over blind")
    title = "Held-out utility after a short training on the noisy rater"
    values = {
        one.trial.set: {
            "id": one.trial.id,
            "items": len(one.groups),
            "groups": len(set(one.groups)),
            "steps": one.trial.training.steps,
            "rounds": one.trial.rounds,
            **{name: vars(one.mean(name)) for name in POLICIES},
            "gain_over_blind": vars(one.gain),
        }
        for one in outcomes
    }
    said = (
        "Intervals are of 95 %, with groups (recordings, photos, sentences) as clusters; a gain whose "
        "interval holds 0 is not shown to be one. The blind policy sees the question, but neither picture "
        "nor sound; on folds it may fall below chance, since a class held out more is trained on less.",
    )
    return Report(True, [Table(title, columns, rows)], said, values, busy)


def _said(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


_SETTINGS = PPOSettings(learning_rate=2e-3, n_epochs=3)
_FEW = PPOSettings(n_steps=8, n_minibatches=8, n_epochs=4, learning_rate=1e-3)

TRIALS: tuple[Trial, ...] = (
    Trial(
        "country_flags",
        "where the country lies, in a sentence",
        "MMCaption-v0",
        flags,
        Training(100_000, settings=_SETTINGS),
        folds=5,
        form={"size": (40, 60), "fit": "stretch"},
    ),
    Trial(
        "bccd_blood_cells",
        "how many cells of a kind",
        "MMVQA-v0",
        read_source,
        Training(30_000, settings=_SETTINGS),
        form={"size": (72, 96)},
    ),
    Trial(
        "nlvr1_dev",
        "whether a sentence is true",
        "MMVQA-v0",
        read_source,
        Training(40_000, settings=_SETTINGS),
        folds=5,
        form={"size": (40, 160), "on_error": "skip"},  # equal pictures under different sentences
    ),
    Trial(
        "esc10_folds12",
        "what makes the sound",
        "MMClassify-v0",
        read_source,
        Training(20_000, rows=64, settings=_FEW),
        folds=4,
        rounds=4,
        form={"sample_rate": 8_000, "seconds": 2.0},
    ),
    Trial(
        "minigrid_video_gifs",
        "the family of the environment",
        "MMClassify-v0",
        clips,
        Training(6_000, rows=64, settings=_FEW),
        folds=4,
        rounds=4,
        form={"size": 48, "frames": 4},
    ),
)
