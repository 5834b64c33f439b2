"""Metrics and reward models beside the people of five sets of judged captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks import human_judgements as human
from benchmarks.caption_words import treebank_words
from benchmarks.people import judged as sets
from benchmarks.people.ceilings import alpha_of, one_against_the_others
from benchmarks.people.features import METRICS, PLAIN, Features, features
from benchmarks.people.judged import Judged
from benchmarks.people.learned import READERS, config, out_of_fold
from benchmarks.people.measures import Slice, mean_over, slices
from benchmarks.people.vectors import WordVectors
from benchmarks.reports import Options
from benchmarks.statistics import Interval

Numbers: TypeAlias = "NDArray[np.float64]"
Scored: TypeAlias = "dict[str, list[Numbers]]"

SEEDS, RESAMPLES = 3, 200
# Numbers that are no judgement of a caption beside its references, and so no metrics.
_NO_METRICS = ("words", "words beside references", "words said twice")
SINGLE = (*METRICS, *(name for name in PLAIN if name not in _NO_METRICS))


@dataclass(frozen=True)
class Line:
    """What was found of one set, or of one category of it.

    Attributes:
        name: The set, and the category behind a comma.
        count: How many judgements.
        pictures: How many pictures.
        values: The measure of every metric, every other number of a caption, and every reward model.
        seeds: The measure of every reward model, one number a seed.
        best_metric: Whichever of our metrics is best here.
        best_number: Whichever number of a caption is best here, the metrics among them.
        gain: How far each reward model is above the best metric.
        gain_over_number: How far each is above the best number.
        person: One person against the others; None where single people are not known.
        alpha: Krippendorff's alpha of all people of the set; None likewise.
    """

    name: str
    count: int
    pictures: int
    values: dict[str, Interval]
    seeds: dict[str, list[float]]
    best_metric: str
    best_number: str
    gain: dict[str, Interval]
    gain_over_number: dict[str, Interval]
    person: float | None
    alpha: float | None

    @property
    def whole(self) -> bool:
        """Whether it is about a whole set."""
        return "," not in self.name or self.name.endswith(", all")


def measure(options: Options, progress: Callable[[str], None]) -> list[Line]:
    """Every metric and every reward model on every set.

    Args:
        options: Where the sets are; with ``quick`` a few judgements, one seed and one resample or two.
        progress: Told what is going on.
    """
    every = [
        sets.flickr8k_expert(options),
        sets.flickr8k_crowd(options),
        sets.thumb(options, people_too=False),
        sets.thumb(options, people_too=True),
        sets.pascal50s(options),
        sets.audiocaps(options),
    ]
    progress("word vectors of the captions of 8,000 pictures")
    vectors = word_vectors(options, every)
    found: list[Line] = []
    for one in every:
        progress(f"{one.name}: metrics")
        counted = features(one.candidates, one.references, vectors)
        found += lines(one, scored(one, counted, options.quick, progress), options.quick)
    return found


def word_vectors(options: Options, every: Sequence[Judged]) -> WordVectors:
    """Word vectors of all captions of Flickr8k and all references of the sets, a document a picture."""
    documents: dict[str, list[str]] = {}
    captions = human.flickr8k_captions(options.folder("flickr8k_human_judgements"))
    for place, (name, text) in enumerate(captions.items()):
        if options.quick and place >= 2000:
            break
        documents.setdefault(name.split("#")[0], []).extend(treebank_words(text))
    for judged in every:
        own: dict[int, list[str]] = {}
        for image, known in zip(judged.image, judged.references, strict=True):
            # The longest list of references that some caption of the picture has.
            own[image] = max(own.get(image, []), known, key=len)
        for image, known in own.items():
            documents[f"{judged.name} {image}"] = " ".join(known).split()
    return WordVectors.of(list(documents.values()), size=20 if options.quick else 100)


def scored(judged: Judged, counted: Features, quick: bool, progress: Callable[[str], None]) -> Scored:
    """The scores of all captions by everything that scores: one list, or one a seed for reward models."""
    scores = {name: [counted[name]] for name in SINGLE}
    for reader in READERS:
        progress(f"{judged.name}: a reward model that is given {reader}")
        scores[reader] = [
            out_of_fold(judged, counted, reader, config(judged, reader, seed, quick), 2 if quick else 5)
            for seed in range(1 if quick else SEEDS)
        ]
    return scores


def lines(judged: Judged, scores: Scored, quick: bool) -> list[Line]:
    """What was found of one set, category by category."""
    people = one_against_the_others(judged, np.random.default_rng(0))
    return [_line(one, scores, people.get(one.name), 5 if quick else RESAMPLES) for one in slices(judged)]


def _line(one: Slice, scores: Scored, person: float | None, resamples: int) -> Line:
    drawn = one.resampled(np.random.default_rng(0), resamples)
    # First the value itself, then those of the resamples.
    values = {
        name: np.array([mean_over(several, one, rows) for rows in (None, *drawn)])
        for name, several in scores.items()
    }
    metric, number = (max(among, key=lambda name: values[name][0]) for among in (METRICS, SINGLE))
    image = one.judged.image[one.judged.first[one.rows]]
    return Line(
        one.name,
        len(one.rows),
        len(np.unique(image)),
        {name: _interval(several) for name, several in values.items()},
        {name: [one.value(scored) for scored in scores[name]] for name in READERS},
        metric,
        number,
        {name: _interval(values[name] - values[metric]) for name in READERS},
        {name: _interval(values[name] - values[number]) for name in READERS},
        person,
        alpha_of(one.judged),
    )


def _interval(values: Numbers) -> Interval:
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return Interval(float(values[0]), float(low), float(high))
