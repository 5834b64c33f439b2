"""CREMA-D: the reliability of people who hear, see, or hear and see an actor, found from votes alone.

2,443 people voted for one of six emotions on 7,442 clips (Cao et al., "CREMA-D", IEEE Transactions on
Affective Computing 5(4), 2014): each clip was judged by some as voice, by others as face, by others as both.
Who gave a vote is not published, only how many of each kind there were. So those who judged one modality are
one annotator with several votes a clip, and reliability is that of a modality: over all clips, by emotion,
and by actor. The emotion that the actor was asked for is not given to the model, which is checked against it.
Votes are split at random: one half is fitted to, the other measures how often people are right.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.experiment import Context
from benchmarks.experiments.statistics import correlation
from feedback.aggregation import DawidSkene, Votes, krippendorff_alpha, majority

Counts: TypeAlias = "NDArray[np.int64]"
Numbers: TypeAlias = "NDArray[np.float64]"

MODALITIES = ("voice", "face", "both")
EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
# The abstract of the paper: recognition of the intended emotion.
PUBLISHED = (0.409, 0.582, 0.636)
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


def read(folder: Path, limit: int | None = None) -> Clips:
    """The votes of the folder of the set; the first ``limit`` clips if given.

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
    names = sorted(counts)[:limit]
    actors = {actor: index for index, actor in enumerate(sorted({name[:4] for name in names}))}
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
    given = votes(clips)
    chosen = given.annotator == modality
    return krippendorff_alpha(given.item[chosen], given.label[chosen])


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
    """Found from one half of the votes, with the other half and what the actors were asked for.

    Attributes:
        skill: The reliability that is found of each modality, (modalities,).
        held_out: The share of the other half's votes for the intended emotion, (modalities,).
        consensus: The share of the other half's votes for the truth of the model, (modalities,).
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


def all_votes(context: Context, seed: int, limit: int | None) -> dict[str, Any]:
    """Recognition of the intended emotion by all votes, and what Dawid-Skene finds in them.

    Args:
        context: Names the folder of the set.
        seed: Not used.
        limit: The number of clips; None for all.

    Returns:
        "recognition" and "alpha" by modality; "by_emotion" and "diagonal" (the chance that a vote is for the
        truth of the model) by modality and emotion.
    """
    clips = read(context.folder("crema_d_human_votes"), limit)
    model = DawidSkene().fit(votes(clips))
    return {
        "recognition": recognition(clips).tolist(),
        "by_emotion": recognition_by_emotion(clips).tolist(),
        "diagonal": model.confusion.diagonal(dim1=1, dim2=2).tolist(),
        "alpha": [alpha(clips, i) for i in range(len(MODALITIES))],
    }


def half_votes(context: Context, seed: int, limit: int | None) -> dict[str, Any]:
    """What half of the votes says, compared with the other half; the seed splits the votes."""
    found = recover(read(context.folder("crema_d_human_votes"), limit), seed)
    return {name: np.asarray(value).tolist() for name, value in vars(found).items()}


def recover(clips: Clips, seed: int) -> Recovered:
    """Finds reliabilities from half of the votes, and compares them with the other half."""
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
    given = votes(clips)
    ways = [majority(_only(given, given.annotator == i)).accuracy(truth) for i in range(len(MODALITIES))]
    ways.append(majority(given).accuracy(truth))
    apart = _only(given, given.annotator != MODALITIES.index("both"))
    for one in (given, apart):
        ways.append(float((DawidSkene().fit(one).predict(one) == truth).double().mean()))
    return np.array(ways)


def _only(given: Votes, rows: torch.Tensor) -> Votes:
    item, who, label = given.item[rows], given.annotator[rows], given.label[rows]
    return Votes(item, who, label, given.items, given.annotators, given.classes)


def _correlation(one: Numbers, other: Numbers) -> float:
    return correlation(one.ravel(), other.ravel())
