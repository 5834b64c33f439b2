"""Agreement of people with each other: an approximate upper bound for scorers of captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.experiments.captions import data as human
from benchmarks.experiments.people.labels import HumanLabels
from benchmarks.experiments.people.measures import tau_b, tau_c
from benchmarks.experiments.statistics import percentiles
from feedback.aggregation import DawidSkene, Votes, krippendorff_alpha
from mm_envs.statistics import Interval

Numbers: TypeAlias = "NDArray[np.float64]"


def one_against_the_others(captions: HumanLabels, generator: np.random.Generator) -> dict[str, float]:
    """The agreement of one person with the others, by category; empty where single people are not known.

    Pairs: the accuracy of a vote against the majority of the other votes, a vote for neither being half
    right; where the others are balanced it is left out. Experts: tau-c of the mean of two
    experts with the third. Crowd: tau-b of one worker's yes or no, drawn at random, with the share of yes
    among the others.
    """
    if captions.paired:
        return _votes(captions)
    if captions.name == "Flickr8k experts":
        return {captions.name: _experts(captions)}
    if captions.people:
        return {captions.name: _crowd(captions, generator)}
    return {}


def _votes(captions: HumanLabels) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for group, given in zip(captions.groups, captions.given, strict=True):
        for vote in given:
            others = sum(given) - vote
            if others:
                for name in (group, "all"):
                    found.setdefault(name, []).append((1 + np.sign(vote * others)) / 2)
    return {f"{captions.name}, {name}": float(np.mean(right)) for name, right in found.items()}


def _experts(captions: HumanLabels) -> float:
    """Three judgements in a row are those of the three experts."""
    scores = captions.values.reshape(-1, 3)
    others = np.stack([scores[:, [j for j in range(3) if j != i]].mean(1) for i in range(3)], axis=1)
    return tau_c(others.ravel(), scores.ravel())


def _crowd(captions: HumanLabels, generator: np.random.Generator) -> float:
    people = np.array(captions.people)
    approving = np.round(captions.values * people)
    vote = (generator.random(len(people)) < approving / people).astype(np.float64)
    chosen = people > 1
    return tau_b(vote[chosen], ((approving - vote) / np.maximum(people - 1, 1))[chosen])


@dataclass(frozen=True)
class Positions:
    """The four votes of AudioCaps-Eval by their position in the list.

    Attributes:
        alpha: Krippendorff's alpha, ties taken for the middle of three ordered values.
        skill: Found by Dawid-Skene for each position, on the votes that are no ties.
        agreement: How often the vote at each position agrees with the majority of the other three.
    """

    alpha: float
    skill: Numbers
    agreement: list[Interval]

    @property
    def distinct(self) -> bool:
        """Whether the intervals of some two positions do not overlap."""
        return max(one.low for one in self.agreement) > min(one.high for one in self.agreement)


def by_position(pairs: human.Preferences, generator: np.random.Generator, resamples: int = 300) -> Positions:
    """Whether votes at one position are more reliable than at another."""
    given = np.array(pairs.given)
    others = given.sum(1, keepdims=True) - given
    counted = (given != 0) & (others != 0)
    right = (np.sign(given) == np.sign(others)) & counted
    sounds = np.unique(pairs.images, return_inverse=True)[1]
    number = int(sounds.max()) + 1
    sums = np.zeros((number, 2, given.shape[1]))
    np.add.at(sums, sounds, np.stack([right, counted], axis=1).astype(np.float64))
    drawn = sums[generator.integers(number, size=(resamples, number))].sum(1)
    resampled = drawn[:, 0] / drawn[:, 1]
    agreement = [percentiles(*one) for one in zip(right.sum(0) / counted.sum(0), resampled.T, strict=True)]
    return Positions(
        _alpha(given),
        _skill(given),
        agreement,
    )


def _alpha(given: NDArray[np.int64]) -> float:
    pair, _ = np.indices(given.shape)
    return krippendorff_alpha(torch.tensor(pair.ravel()), torch.tensor(given.ravel()), "ordinal")


def _skill(given: NDArray[np.int64]) -> Numbers:
    pair, position = np.nonzero(given)
    label = torch.tensor((given[pair, position] > 0).astype(np.int64))
    pairs, positions = given.shape
    votes = Votes(torch.tensor(pair), torch.tensor(position), label, pairs, positions, 2)
    skill: Numbers = DawidSkene().fit(votes).skill.numpy()
    return skill


def alpha_of(captions: HumanLabels) -> float | None:
    """Krippendorff's alpha of the single judgements; None where they are not known."""
    if captions.name == "Flickr8k experts":
        return krippendorff_alpha(
            torch.arange(len(captions.values)) // 3, torch.tensor(captions.values), "ordinal"
        )
    if captions.people:
        return _of_shares(captions)
    if captions.paired:
        return _of_votes(captions.given)
    return None


def _of_votes(given: Sequence[Sequence[int]]) -> float:
    unit = torch.tensor([row for row, votes in enumerate(given) for _ in votes])
    return krippendorff_alpha(unit, torch.tensor([vote for votes in given for vote in votes]), "ordinal")


def _of_shares(captions: HumanLabels) -> float:
    people = np.array(captions.people)
    approving = np.round(captions.values * people).astype(np.int64)
    unit = np.concatenate([np.repeat(np.arange(len(people)), one) for one in (approving, people - approving)])
    value = np.repeat([1, 0], [approving.sum(), (people - approving).sum()])
    return krippendorff_alpha(torch.tensor(unit), torch.tensor(value))
