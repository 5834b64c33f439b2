"""Metrics and reward models on captions with human labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment import Context
from benchmarks.experiments.captions import data as human
from benchmarks.experiments.captions.words import treebank_words
from benchmarks.experiments.people.ceilings import alpha_of, one_against_the_others
from benchmarks.experiments.people.features import METRICS, PLAIN, Features, features
from benchmarks.experiments.people.labels import SETS, HumanLabels, rated_captions
from benchmarks.experiments.people.learned import FOLDS, READERS, config, out_of_fold
from benchmarks.experiments.people.measures import Slice, mean_over, slices
from benchmarks.experiments.people.vectors import WordVectors
from benchmarks.experiments.statistics import percentiles
from mm_envs.statistics import Interval

Numbers: TypeAlias = "NDArray[np.float64]"
Scored: TypeAlias = "dict[str, list[Numbers]]"

# Numbers of the caption alone, which are no metrics.
_NO_METRICS = ("words", "words over references", "words repeated")
SINGLE = (*METRICS, *(name for name in PLAIN if name not in _NO_METRICS))


@dataclass(frozen=True)
class Line:
    """Numbers of one set, or of one category of it.

    Attributes:
        name: The set, and the category behind a comma.
        count: The number of judgements.
        pictures: The number of pictures.
        values: The measure of every metric, every other number of a caption, and every reward model.
        seeds: The measure of every reward model, one number a seed.
        best_metric: The best of our metrics here.
        best_number: The best number of a caption here, metrics included.
        gain: The lead of each reward model over the best metric.
        gain_over_number: Its lead over the best number.
        person: One person against the others; None where people are not identified.
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


def labelled_captions(
    context: Context, seed: int, set: str, limit: int | None, seeds: int, resamples: int, quick: bool
) -> list[dict[str, Any]]:
    """Every metric and every reward model on a set, a row for all judgements and one a category.

    Args:
        context: Names the folders of the sets.
        seed: Of the resamples.
        set: One of ``SETS``.
        limit: The number of judgements; None for all.
        seeds: Reward models of each kind.
        resamples: Bootstrap samples of the pictures.
        quick: Whether to fit for one epoch.
    """
    assert context.data is not None
    captions = rated_captions(set, context, limit)
    counted = features(captions.candidates, captions.references, word_vectors(context.data, limit))
    scores = scored(captions, counted, seeds, quick, context)
    people = one_against_the_others(captions, np.random.default_rng(seed))
    return [asdict(_line(one, scores, people.get(one.name), resamples, seed)) for one in slices(captions)]


@lru_cache(maxsize=1)
def word_vectors(data: Path, limit: int | None) -> WordVectors:
    """Word vectors of all captions of Flickr8k and all references of the sets, a document a picture."""
    documents: dict[str, list[str]] = {}
    context = Context(data)
    texts = human.flickr8k_captions(context.folder("flickr8k_human_judgements"))
    for name, text in list(texts.items())[: None if limit is None else 10 * limit]:
        documents.setdefault(name.split("#")[0], []).extend(treebank_words(text))
    for captions in (rated_captions(name, context, limit) for name in SETS):
        own: dict[int, list[str]] = {}
        for image, known in zip(captions.image, captions.references, strict=True):
            # The longest list of references that some caption of the picture has.
            own[image] = max(own.get(image, []), known, key=len)
        for image, known in own.items():
            documents[f"{captions.name} {image}"] = " ".join(known).split()
    return WordVectors.of(list(documents.values()), size=100 if limit is None else 20)


def scored(captions: HumanLabels, counted: Features, seeds: int, quick: bool, context: Context) -> Scored:
    """The scores of all captions by everything that scores: one list, or one a seed for reward models."""
    scores = {name: [counted[name]] for name in SINGLE}
    for reader in READERS:
        context.progress(f"{captions.name}: a reward model given {reader}")
        scores[reader] = [
            out_of_fold(
                captions, counted, reader, config(captions, reader, seed, quick), 2 if quick else FOLDS
            )
            for seed in range(seeds)
        ]
    return scores


def _line(one: Slice, scores: Scored, person: float | None, resamples: int, seed: int) -> Line:
    drawn = one.resampled(np.random.default_rng(seed), resamples)
    # First the value itself, then those of the resamples.
    values = {
        name: np.array([mean_over(several, one, rows) for rows in (None, *drawn)])
        for name, several in scores.items()
    }
    metric, number = (max(among, key=lambda name: values[name][0]) for among in (METRICS, SINGLE))
    image = one.labels.image[one.labels.first[one.rows]]
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
        alpha_of(one.labels),
    )


def _interval(values: Numbers) -> Interval:
    return percentiles(float(values[0]), values[1:])
