"""Pictures, sounds and words that only together tell the digit: every combination of the three, measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluate import Estimate
from agents.sb3.settings import PPOSettings
from benchmarks.clusters import clustered
from benchmarks.held_out import Training, trained
from benchmarks.machine import Calibration
from benchmarks.reports import Options, Report, Table
from benchmarks.sets.spoken_digits import KNOWN, NEVER_HEARD, Recipe, prepare
from mm_envs.data.folder import Folder

ALL = ("image", "text", "audio")
COMBINATIONS: tuple[tuple[str, ...], ...] = (
    ("image",),
    ("text",),
    ("audio",),
    ("image", "text"),
    ("text", "audio"),
    ("image", "audio"),
    ALL,
)
SETS = (KNOWN, NEVER_HEARD)
LEAST_ACCURACY = 0.97
_SIDE = 40
_SETTINGS = PPOSettings(learning_rate=2e-3, n_epochs=3, n_minibatches=16)


@dataclass(frozen=True)
class Findings:
    """What the agents reached, item by item.

    Attributes:
        right: Modalities -> whether each test item was answered rightly, (items,) float64.
        sets: The set of each test item.
        recordings: The recording that is heard in each.
    """

    right: Mapping[tuple[str, ...], NDArray[np.float64]]
    sets: Sequence[str]
    recordings: Sequence[str]

    def accuracy(self, modalities: tuple[str, ...], part: str) -> Estimate:
        """The accuracy of one agent on one set, recordings being the clusters."""
        return self._mean(self.right[modalities], part)

    def gain(self, modalities: tuple[str, ...], part: str) -> Estimate:
        """How much more accurate than another agent the one with all modalities is, on the same items."""
        return self._mean(self.right[ALL] - self.right[modalities], part)

    def _mean(self, values: NDArray[np.float64], part: str) -> Estimate:
        chosen = [i for i, name in enumerate(self.sets) if name == part]
        return clustered(values[chosen], [self.recordings[i] for i in chosen])

    @property
    def met(self) -> bool:
        """Whether all three together reach the target on both sets, clearly above all other combinations."""
        others = [one for one in self.right if one != ALL]
        return all(
            self.accuracy(ALL, part).mean >= LEAST_ACCURACY
            and all(self.gain(other, part).low > 0 for other in others)
            for part in SETS
        )


def measure(
    pictures: Path,
    speech: Path,
    folder: Path,
    recipe: Recipe,
    training: Training,
    progress: Callable[[str], None] = lambda said: None,
) -> Findings:
    """Prepares the folder and trains one agent on each combination of modalities.

    Args:
        pictures: A folder of the MNIST family in IDX files.
        speech: A folder of the Free Spoken Digit Dataset.
        folder: Where the prepared files are written.
        recipe: What is prepared.
        training: How each agent is trained.
        progress: Told what is being done.
    """
    progress("preparing pictures and sounds")
    rows = prepare(pictures, speech, folder, recipe)
    # The folder itself refuses a recording, or a file of equal content, in two splits.
    dataset = Folder(folder, size=_SIDE, channels=1, group="recording")
    right = {}
    for inputs in COMBINATIONS:
        progress(f"an agent with {' + '.join(inputs)}")
        right[inputs] = trained("MMClassify-v0", dataset, training, inputs=inputs)
    lines = [int(dataset.locations[item].split()[-1]) for item in dataset.range("test")]
    shown = [rows[line - 1] for line in lines]
    return Findings(right, [row["set"] for row in shown], [row["recording"] for row in shown])


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """``mm-envs bench modalities``: accuracy of every combination, known speakers and one never heard."""
    # The recipe was chosen on the draws of seeds 0 and 1: here are other pictures, pairs and noise.
    recipe, training = Recipe(seed=2), Training(120_000, settings=_SETTINGS)
    if options.quick:
        recipe = replace(recipe, training=256, validation=16, test=32)
        training = training.short()
    calibration = Calibration()
    calibration.measure()
    with tempfile.TemporaryDirectory() as folder:
        pictures, speech = options.folder("mnist_t10k"), options.folder("fsdd_spoken_digits")
        found = measure(pictures, speech, Path(folder), recipe, training, progress)
    calibration.measure()
    return report(found, recipe, training, calibration.reasons())


def report(found: Findings, recipe: Recipe, training: Training, busy: Sequence[str] = ()) -> Report:
    """The findings as tables and JSON values."""
    values = {
        part: {
            "+".join(inputs): {
                "accuracy": vars(found.accuracy(inputs, part)),
                "gain_of_all": vars(found.gain(inputs, part)),
            }
            for inputs in found.right
        }
        for part in SETS
    }
    said = (
        f"{recipe.training:,} training items; bands of {recipe.band} of 28 pixels; speech "
        f"{recipe.known_noise:g} dB over the noise with known speakers and {recipe.other_noise:g} dB with "
        f"{recipe.speaker}, who is never heard in training. Training sounds pass a random equaliser of up to "
        f"{recipe.equaliser:g} dB.",
        f"PPO through Stable-Baselines3, {training.steps:,} steps on the noisy rater each, "
        f"seed {training.seed}. Degradations and steps were chosen on other draws of "
        f"pictures, pairs and noise (seeds 0 and 1 of the recipe; this is seed {recipe.seed}).",
        "Intervals are of 95 %, with recordings as clusters; gains are of all three over the combination, on "
        "the same items.",
    )
    return Report(found.met, [_table(found, part) for part in SETS], said, values, busy)


def _table(found: Findings, part: str) -> Table:
    rows = []
    for inputs in found.right:
        gain = "" if inputs == ALL else _said(found.gain(inputs, part), "+.3f")
        rows.append((" + ".join(inputs), _said(found.accuracy(inputs, part), ".3f"), gain))
    title = (
        f"Held-out accuracy, {part}, {sum(name == part for name in found.sets):,} items; target: at least "
        f"{LEAST_ACCURACY} with all three, and every gain above 0"
    )
    return Table(title, ("modalities", "accuracy", "gain of all three"), rows)


def _said(estimate: Estimate, form: str) -> str:
    numbers: tuple[Any, ...] = (estimate.mean, estimate.low, estimate.high)
    mean, low, high = (format(number, form) for number in numbers)
    return f"{mean} ({low} to {high})"
