"""How well scores agree with people: the measures that the literature uses, and intervals over pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.people.judged import Judged

Numbers: TypeAlias = "NDArray[np.float64]"
Places: TypeAlias = "NDArray[np.int64]"
Measure: TypeAlias = "Callable[[Numbers, Numbers], float]"


def tau_c(scores: Numbers, said: Numbers) -> float:
    """Stuart's tau-c (1953), what Flickr8k's experts are compared with."""
    return _tau(scores, said, "c")


def tau_b(scores: Numbers, said: Numbers) -> float:
    """Kendall's tau-b (1945), what Flickr8k's crowd is compared with."""
    return _tau(scores, said, "b")


def pearson(scores: Numbers, said: Numbers) -> float:
    """Pearson's correlation, what THumB is compared with."""
    return float(np.corrcoef(scores, said)[0, 1])


def accuracy(difference: Numbers, votes: Numbers) -> float:
    """How often the caption with the higher score is the preferred one; the second one of equal scores.

    Args:
        difference: Score of the first minus score of the second caption.
        votes: Votes for the first minus votes for the second; not 0.
    """
    return float(((difference > 0) == (votes > 0)).mean())


def _tau(scores: Numbers, said: Numbers, variant: str) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(scores, said, variant=variant).statistic)


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
        judged: The set.
        rows: The judgements, places in it.
        measure: What is computed.
    """

    name: str
    judged: Judged
    rows: Places
    measure: Measure

    def value(self, scores: Numbers, rows: Places | None = None) -> float:
        """The measure of scores (captions,), over some of the judgements if so told."""
        rows = self.rows if rows is None else rows
        judged = self.judged
        mine = scores[judged.first[rows]]
        if judged.paired:
            mine = mine - scores[judged.second[rows]]
        return self.measure(mine, judged.said[rows])

    def resampled(self, generator: np.random.Generator, times: int) -> list[Places]:
        """Judgements of as many pictures as there are, drawn with replacement, several times."""
        image = self.judged.image[self.judged.first[self.rows]]
        order = self.rows[np.argsort(image, kind="stable")]
        counts = np.bincount(image)
        several = [one for one in np.split(order, np.cumsum(counts)[:-1]) if len(one)]
        return [
            np.concatenate([several[i] for i in generator.integers(len(several), size=len(several))])
            for _ in range(times)
        ]


def slices(judged: Judged) -> list[Slice]:
    """A line for every category, and one for all judgements."""
    _, measure = MEASURES[judged.name]
    everything = np.arange(len(judged.first))
    if not judged.paired:
        return [Slice(judged.name, judged, everything, measure)]
    groups = np.array(judged.groups)
    found = [
        Slice(f"{judged.name}, {group}", judged, np.flatnonzero(groups == group), measure)
        for group in ("HC", "HI", "HM", "MM")
    ]
    found = [one for one in found if len(one.rows)]
    return [*found, Slice(f"{judged.name}, all", judged, everything, measure)]


def mean_over(scored: Sequence[Numbers], one: Slice, rows: Places | None = None) -> float:
    """The mean of a measure over several scorings of the same captions, such as one a seed."""
    return float(np.mean([one.value(scores, rows) for scores in scored]))
