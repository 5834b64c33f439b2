"""How well people agree with people: what no scorer of the same captions can be expected to pass by far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import human_judgements as human
from benchmarks.people.judged import Judged
from benchmarks.people.measures import tau_b, tau_c
from feedback.aggregation import DawidSkene, Votes, krippendorff_alpha

Numbers: TypeAlias = "NDArray[np.float64]"


def one_against_the_others(judged: Judged, generator: np.random.Generator) -> dict[str, float]:
    """How well one person agrees with the others, by category; empty where single people are not known.

    Pairs: the accuracy of a vote against the majority of the other votes, a vote for neither being half
    right; where the others are balanced it is left out. Experts: tau-c of the mean of two
    experts with the third. Crowd: tau-b of one worker's yes or no, drawn at random, with the share of yes
    among the others.
    """
    if judged.paired:
        return _votes(judged)
    if judged.name == "Flickr8k experts":
        return {judged.name: _experts(judged)}
    if judged.people:
        return {judged.name: _crowd(judged, generator)}
    return {}


def _votes(judged: Judged) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for group, given in zip(judged.groups, judged.given, strict=True):
        for vote in given:
            others = sum(given) - vote
            if others:
                for name in (group, "all"):
                    found.setdefault(name, []).append((1 + np.sign(vote * others)) / 2)
    return {f"{judged.name}, {name}": float(np.mean(right)) for name, right in found.items()}


def _experts(judged: Judged) -> float:
    """Three judgements in a row are those of the three experts."""
    scores = judged.said.reshape(-1, 3)
    others = np.stack([scores[:, [j for j in range(3) if j != i]].mean(1) for i in range(3)], axis=1)
    return tau_c(others.ravel(), scores.ravel())


def _crowd(judged: Judged, generator: np.random.Generator) -> float:
    people = np.array(judged.people)
    approving = np.round(judged.said * people)
    vote = (generator.random(len(people)) < approving / people).astype(np.float64)
    chosen = people > 1
    return tau_b(vote[chosen], ((approving - vote) / np.maximum(people - 1, 1))[chosen])


@dataclass(frozen=True)
class Places:
    """The four votes of AudioCaps-Eval by the place in which they stand.

    Attributes:
        alpha: Krippendorff's alpha, ties taken for the middle of three ordered values.
        skill: What Dawid and Skene find of each place on the votes that are no ties.
        agreement: How often the vote in each place agrees with the majority of the other three.
        low: The lower end of the interval of each agreement, 95 %, bootstrap over sounds.
        high: The upper end.
    """

    alpha: float
    skill: Numbers
    agreement: Numbers
    low: Numbers
    high: Numbers

    @property
    def told_apart(self) -> bool:
        """Whether the intervals of some two places do not overlap."""
        return bool(self.low.max() > self.high.min())


def by_place(pairs: human.Preferences, generator: np.random.Generator, resamples: int = 300) -> Places:
    """Whether one place of the four is more reliable than another: whether places are people."""
    given = np.array(pairs.given)
    others = given.sum(1, keepdims=True) - given
    counted = (given != 0) & (others != 0)
    right = (np.sign(given) == np.sign(others)) & counted
    sounds = np.unique(pairs.images, return_inverse=True)[1]
    number = int(sounds.max()) + 1
    sums = np.zeros((number, 2, given.shape[1]))
    np.add.at(sums, sounds, np.stack([right, counted], axis=1).astype(np.float64))
    drawn = sums[generator.integers(number, size=(resamples, number))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975), axis=0)
    return Places(
        _alpha(given),
        _skill(given),
        right.sum(0) / counted.sum(0),
        low,
        high,
    )


def _alpha(given: NDArray[np.int64]) -> float:
    pair, _ = np.indices(given.shape)
    return krippendorff_alpha(torch.tensor(pair.ravel()), torch.tensor(given.ravel()), "ordinal")


def _skill(given: NDArray[np.int64]) -> Numbers:
    pair, place = np.nonzero(given)
    label = torch.tensor((given[pair, place] > 0).astype(np.int64))
    pairs, places = given.shape
    said = Votes(torch.tensor(pair), torch.tensor(place), label, pairs, places, 2)
    skill: Numbers = DawidSkene().fit(said).skill.numpy()
    return skill


def alpha_of(judged: Judged) -> float | None:
    """Krippendorff's alpha of the single judgements; None where they are not known."""
    if judged.name == "Flickr8k experts":
        return krippendorff_alpha(torch.arange(len(judged.said)) // 3, torch.tensor(judged.said), "ordinal")
    if judged.people:
        return _of_shares(judged)
    if judged.paired:
        return _of_votes(judged.given)
    return None


def _of_votes(given: Sequence[Sequence[int]]) -> float:
    unit = torch.tensor([row for row, votes in enumerate(given) for _ in votes])
    return krippendorff_alpha(unit, torch.tensor([vote for votes in given for vote in votes]), "ordinal")


def _of_shares(judged: Judged) -> float:
    people = np.array(judged.people)
    approving = np.round(judged.said * people).astype(np.int64)
    unit = np.concatenate([np.repeat(np.arange(len(people)), one) for one in (approving, people - approving)])
    value = np.repeat([1, 0], [approving.sum(), (people - approving).sum()])
    return krippendorff_alpha(torch.tensor(unit), torch.tensor(value))
