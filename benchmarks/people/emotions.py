"""CREMA-D: how far people who hear, see, or hear and see an actor can be trusted, found from votes alone.

2,443 people voted for one of six emotions on 7,442 clips (Cao et al., "CREMA-D", IEEE Transactions on
Affective Computing 5(4), 2014): each clip was judged by some as voice, by others as face, by others as both.
Who gave a vote is not published, only how many of each kind there were. So those who judged one modality are
one annotator with several votes a clip, and reliability is that of a modality: over all clips, by emotion,
and by actor. The emotion that the actor was asked for is never shown to the model; it is what the model is
checked against. Votes are parted at random: one half is learnt from, the other says how right people are.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.reports import Options
from feedback.aggregation import DawidSkene, Votes, krippendorff_alpha, majority

Counts: TypeAlias = "NDArray[np.int64]"
Numbers: TypeAlias = "NDArray[np.float64]"

MODALITIES = ("voice", "face", "both")
EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
# The abstract of the paper: recognition of the intended emotion.
PUBLISHED = (0.409, 0.582, 0.636)
SEEDS = 5
# How votes are joined to one emotion a clip.
WAYS = (
    "majority of voice",
    "majority of face",
    "majority of both",
    "majority of all votes",
    "Dawid-Skene, all votes",
    "Dawid-Skene, voice and face alone",
)
_COLUMNS = "ADFHNS"
_INTENDED = {"ANG": 0, "DIS": 1, "FEA": 2, "HAP": 3, "NEU": 4, "SAD": 5}


@dataclass(frozen=True)
class Clips:
    """Votes on clips.

    Attributes:
        counts: Votes for each emotion, (clips, modalities, emotions) int64.
        intended: The emotion that the actor was asked for, (clips,) int64.
        actor: Who acted, (clips,) int64 from 0 on.
    """

    counts: Counts
    intended: Counts
    actor: Counts

    def __len__(self) -> int:
        return len(self.intended)

    def halves(self, generator: np.random.Generator) -> tuple[Clips, Clips]:
        """The votes in two parts: of each clip and modality, half of them each, drawn without replacement."""
        flat = self.counts.reshape(-1, len(EMOTIONS))
        drawn = generator.multivariate_hypergeometric
        first = np.stack([drawn(one, int(one.sum()) // 2) for one in flat]).reshape(self.counts.shape)
        return (
            Clips(first, self.intended, self.actor),
            Clips(self.counts - first, self.intended, self.actor),
        )


def read(folder: Path, most: int | None = None) -> Clips:
    """The votes of the folder of the set; ``most`` clips if so told.

    Raises:
        ValueError: A name of a clip says no emotion that is known.
    """
    counts: dict[str, Counts] = {}
    with (folder / "tabulatedVotes.csv").open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            name = row["fileName"]
            if name.count("_") != 3 or name.split("_")[2] not in _INTENDED:
                raise ValueError(f"{folder / 'tabulatedVotes.csv'}:{number}: {name!r} names no known emotion")
            table = counts.setdefault(name, np.zeros((len(MODALITIES), len(EMOTIONS)), dtype=np.int64))
            # The first digit of a row's number is the modality: 1 voice, 2 face, 3 both.
            table[int(row[""][0]) - 1] = [int(row[column]) for column in _COLUMNS]
    names = sorted(counts)[:most]
    actors = {actor: place for place, actor in enumerate(sorted({name[:4] for name in names}))}
    return Clips(
        np.stack([counts[name] for name in names]),
        np.array([_INTENDED[name.split("_")[2]] for name in names]),
        np.array([actors[name[:4]] for name in names]),
    )


def votes(clips: Clips, by_actor: bool = False) -> Votes:
    """One vote a vote; the annotator is the modality, or the modality of one actor."""
    cells = np.argwhere(clips.counts > 0)
    times = clips.counts[tuple(cells.T)]
    clip, modality, emotion = torch.tensor(np.repeat(cells, times, axis=0)).T
    actors = int(clips.actor.max()) + 1 if by_actor else 1
    who = torch.tensor(clips.actor)[clip] * len(MODALITIES) + modality if by_actor else modality
    return Votes(clip, who, emotion, len(clips), actors * len(MODALITIES), len(EMOTIONS))


def alpha(clips: Clips, modality: int) -> float:
    """Krippendorff's alpha of those who judged one modality."""
    said = votes(clips)
    chosen = said.annotator == modality
    return krippendorff_alpha(said.item[chosen], said.label[chosen])


def recognition(clips: Clips) -> Numbers:
    """The share of votes for the intended emotion, (modalities,)."""
    right = clips.counts[np.arange(len(clips)), :, clips.intended]
    shares: Numbers = right.sum(0) / clips.counts.sum((0, 2))
    return shares


def recognition_by_emotion(clips: Clips) -> Numbers:
    """The share of votes for the intended emotion, (modalities, emotions)."""
    confusion = np.stack([clips.counts[clips.intended == i].sum(0) for i in range(len(EMOTIONS))], axis=1)
    shares: Numbers = np.diagonal(confusion, axis1=1, axis2=2) / confusion.sum(2)
    return shares


def recognition_by_actor(clips: Clips) -> Numbers:
    """The share of votes for the intended emotion, (actors, modalities)."""
    right = clips.counts[np.arange(len(clips)), :, clips.intended]
    actors = range(int(clips.actor.max()) + 1)
    per_actor = [right[clips.actor == i].sum(0) / clips.counts[clips.actor == i].sum((0, 2)) for i in actors]
    return np.stack(per_actor)


@dataclass(frozen=True)
class Recovered:
    """What one half of the votes says, beside the other half and what the actors were asked for.

    Attributes:
        skill: How reliable each modality is found to be, (modalities,).
        held_out: The share of the other half's votes for the intended emotion, (modalities,).
        consensus: The share of the other half's votes for what the model takes for the truth, (modalities,).
        by_emotion: The correlation of found and held-out reliability over modality and emotion.
        by_actor: The same over modality and actor.
        within: The mean over modalities of the correlation over actors.
        single: How often each of ``WAYS`` finds the intended emotion.
    """

    skill: Numbers
    held_out: Numbers
    consensus: Numbers
    by_emotion: float
    by_actor: float
    within: float
    single: Numbers


@dataclass(frozen=True)
class Heard:
    """Everything that was found.

    Attributes:
        recognition: The share of all votes for the intended emotion, (modalities,).
        by_emotion: The same by intended emotion, (modalities, emotions).
        diagonal: How often the model takes people to say what is there, from all votes, likewise.
        alpha: Krippendorff's alpha of each modality.
        seeds: What each parting of the votes gave.
    """

    recognition: Numbers
    by_emotion: Numbers
    diagonal: Numbers
    alpha: list[float]
    seeds: list[Recovered]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        seeds = [
            {name: np.asarray(value).tolist() for name, value in vars(one).items()} for one in self.seeds
        ]
        return {
            "recognition": self.recognition.tolist(),
            "by_emotion": self.by_emotion.tolist(),
            "diagonal": self.diagonal.tolist(),
            "alpha": self.alpha,
            "seeds": seeds,
        }


def measure(options: Options, progress: Callable[[str], None]) -> Heard:
    """Reads the votes, and learns from several halves of them whom to trust."""
    clips = read(options.folder("crema_d_human_votes"), 600 if options.quick else None)
    model = DawidSkene().fit(votes(clips))
    seeds = []
    for seed in range(1 if options.quick else SEEDS):
        progress(f"CREMA-D: parting {seed + 1} of the votes")
        seeds.append(recover(clips, seed))
    return Heard(
        recognition(clips),
        recognition_by_emotion(clips),
        model.confusion.diagonal(dim1=1, dim2=2).numpy(),
        [alpha(clips, i) for i in range(len(MODALITIES))],
        seeds,
    )


def recover(clips: Clips, seed: int) -> Recovered:
    """Learns who can be trusted from half of the votes, and looks at the other half."""
    learnt, checked = clips.halves(np.random.default_rng(seed))
    model = DawidSkene().fit(votes(learnt))
    found = model.predict(votes(learnt)).numpy()
    diagonal = model.confusion.diagonal(dim1=1, dim2=2).numpy()
    per_actor = DawidSkene(smoothing=1.0).fit(votes(learnt, by_actor=True))
    skill = per_actor.skill.numpy().reshape(-1, len(MODALITIES))
    truth = recognition_by_actor(checked)
    return Recovered(
        model.skill.numpy(),
        recognition(checked),
        recognition(Clips(checked.counts, found, clips.actor)),
        _correlation(diagonal, recognition_by_emotion(checked)),
        _correlation(skill, truth),
        float(np.mean([_correlation(skill[:, i], truth[:, i]) for i in range(len(MODALITIES))])),
        _accuracies(learnt),
    )


def _accuracies(clips: Clips) -> Numbers:
    """How often each way to join votes finds the intended emotion."""
    truth = torch.tensor(clips.intended)
    said = votes(clips)
    ways = [majority(_only(said, said.annotator == i)).accuracy(truth) for i in range(len(MODALITIES))]
    ways.append(majority(said).accuracy(truth))
    apart = _only(said, said.annotator != MODALITIES.index("both"))
    for one in (said, apart):
        ways.append(float((DawidSkene().fit(one).predict(one) == truth).double().mean()))
    return np.array(ways)


def _only(said: Votes, rows: torch.Tensor) -> Votes:
    item, who, label = said.item[rows], said.annotator[rows], said.label[rows]
    return Votes(item, who, label, said.items, said.annotators, said.classes)


def _correlation(one: Numbers, other: Numbers) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
