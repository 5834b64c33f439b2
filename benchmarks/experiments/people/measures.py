"""Agreement of scores with people: the measures of the literature, and resamples of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.people.labels import HumanLabels
from benchmarks.experiments.statistics import cluster_resamples, correlation

Numbers: TypeAlias = "NDArray[np.float64]"
Rows: TypeAlias = "NDArray[np.int64]"
Measure: TypeAlias = "Callable[[Numbers, Numbers], float]"


# What the literature compares each set with: Stuart's tau-c, Kendall's tau-b, Pearson's r, or accuracy.
tau_b, tau_c, pearson = (partial(correlation, kind=kind) for kind in ("tau-b", "tau-c", "pearson"))


def accuracy(difference: Numbers, votes: Numbers) -> float:
    """How often the caption with the higher score is the preferred one; the second one of equal scores.

    Args:
        difference: Score of the first minus score of the second caption.
        votes: Votes for the first minus votes for the second; not 0.
    """
    return float(((difference > 0) == (votes > 0)).mean())


MEASURES: dict[str, tuple[str, Measure]] = {
    "Flickr8k experts": ("tau-c", tau_c),
    "Flickr8k crowd": ("tau-b", tau_b),
    "THumB without people's captions": ("Pearson's r", pearson),
    "THumB": ("Pearson's r", pearson),
    "PASCAL-50S": ("accuracy", accuracy),
    "AudioCaps-Eval": ("accuracy", accuracy),
}


@dataclass(frozen=True)
class Slice:
    """Some judgements of a set, one line of a report: all of them, or those of one category.

    Attributes:
        name: The set, and the category behind a comma.
        labels: The set.
        rows: The judgements, positions in it.
        measure: What is computed.
    """

    name: str
    labels: HumanLabels
    rows: Rows
    measure: Measure

    def value(self, scores: Numbers, rows: Rows | None = None) -> float:
        """The measure of scores (captions,), over some of the judgements if given."""
        rows = self.rows if rows is None else rows
        labels = self.labels
        mine = scores[labels.first[rows]]
        if labels.paired:
            mine = mine - scores[labels.second[rows]]
        return self.measure(mine, labels.values[rows])

    def resampled(self, generator: np.random.Generator, times: int) -> list[Rows]:
        """Judgements of as many pictures as there are, drawn with replacement, several times."""
        image = self.labels.image[self.labels.first[self.rows]]
        return [self.rows[drawn] for drawn in cluster_resamples(image, generator, times)]


def slices(labels: HumanLabels) -> list[Slice]:
    """A line for every category, and one for all judgements."""
    _, measure = MEASURES[labels.name]
    everything = np.arange(len(labels.first))
    if not labels.paired:
        return [Slice(labels.name, labels, everything, measure)]
    groups = np.array(labels.groups)
    found = [
        Slice(f"{labels.name}, {group}", labels, np.flatnonzero(groups == group), measure)
        for group in ("HC", "HI", "HM", "MM")
    ]
    found = [one for one in found if len(one.rows)]
    return [*found, Slice(f"{labels.name}, all", labels, everything, measure)]


def mean_over(scored: Sequence[Numbers], one: Slice, rows: Rows | None = None) -> float:
    """The mean of a measure over several scorings of the same captions, such as one a seed."""
    return float(np.mean([one.value(scores, rows) for scores in scored]))
