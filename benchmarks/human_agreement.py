"""How well our text metrics agree with people, beside what other implementations gave on the same captions.

Everything is in percent: rank and linear correlations times 100, accuracies in percent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks import human_judgements as people
from benchmarks.caption_words import simple_words, treebank_words
from benchmarks.reports import Options, Table
from mm_envs.metrics.bleu import bleu_coco
from mm_envs.metrics.cider import cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco

METRICS = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D")
BAR = 0.5
QUICK = 200

Scores: TypeAlias = "NDArray[np.float64]"
Split: TypeAlias = Callable[[str], list[str]]

# What pycocoevalcap 1.2 gave on these files, as the notes that accompany them report (the SOURCE.md of each
# folder; the files are the subset described there). One column a metric, in the order of METRICS.
EXPECTED: dict[str, tuple[float, float, float, float]] = {
    "Flickr8k experts, tau-c": (33.0, 31.6, 32.7, 44.3),
    "Flickr8k crowd, tau-b": (18.0, 17.0, 19.8, 24.3),
    "THumB without people's captions, Pearson's r": (32.8, 20.4, 32.9, 35.4),
    "THumB, Pearson's r": (19.5, 11.0, 19.9, 23.9),
    "PASCAL-50S, 5 references, HC": (53.7, 53.2, 56.7, 55.2),
    "PASCAL-50S, 5 references, HI": (94.5, 92.4, 94.5, 98.1),
    "PASCAL-50S, 5 references, HM": (91.5, 85.0, 93.5, 92.2),
    "PASCAL-50S, 5 references, MM": (59.0, 62.2, 61.3, 65.4),
    "PASCAL-50S, 5 references, all": (74.5, 73.1, 76.3, 77.6),
    "PASCAL-50S, 50 references, HC": (59.3, 54.1, 57.0, 53.7),
    "PASCAL-50S, 50 references, HI": (98.5, 96.4, 98.1, 99.4),
    "PASCAL-50S, 50 references, HM": (94.1, 93.1, 95.7, 94.2),
    "PASCAL-50S, 50 references, MM": (63.3, 64.2, 63.8, 68.5),
    "PASCAL-50S, 50 references, all": (78.6, 76.8, 78.5, 78.9),
    "AudioCaps-Eval, HC": (59.6, 56.2, 61.1, 57.6),
    "AudioCaps-Eval, HI": (91.1, 85.8, 91.5, 95.5),
    "AudioCaps-Eval, HM": (77.8, 78.7, 82.8, 90.8),
    "AudioCaps-Eval, MM": (51.0, 50.6, 53.0, 62.0),
    "AudioCaps-Eval, all": (63.2, 61.8, 65.3, 71.6),
}


@dataclass(frozen=True)
class Agreement:
    """One metric and one group of judgements.

    Attributes:
        judgements: A key of ``EXPECTED``.
        metric: One of ``METRICS``.
        value: Ours, in percent.
        count: How many judgements there are.
    """

    judgements: str
    metric: str
    value: float
    count: int

    @property
    def expected(self) -> float:
        """What was measured before."""
        return EXPECTED[self.judgements][METRICS.index(self.metric)]

    @property
    def met(self) -> bool:
        """Whether ours is within the bar, to the digit that is reported."""
        return round(abs(self.value - self.expected), 6) <= BAR


def measure(options: Options, progress: Callable[[str], None]) -> list[Agreement]:
    """Our metrics on all four sets.

    Args:
        options: Where the sets are; with ``quick`` only a few judgements of each are looked at.
        progress: Told what is going on.
    """
    most = QUICK if options.quick else None
    found: list[Agreement] = []
    folder = options.folder("flickr8k_human_judgements")
    progress("Flickr8k")
    found += _rated(
        "Flickr8k experts, tau-c", people.flickr8k_expert(folder), treebank_words, _tau("c"), most
    )
    found += _rated("Flickr8k crowd, tau-b", people.flickr8k_crowd(folder), treebank_words, _tau("b"), most)
    progress("THumB")
    found += _thumb(people.thumb(options.folder("thumb_mscoco_ratings")), most)
    for references in (5, 50):
        progress(f"PASCAL-50S, {references} references")
        pairs = people.pascal50s(options.folder("pascal50s_human_pairs"), references)
        found += _preferred(f"PASCAL-50S, {references} references", pairs, most)
    progress("AudioCaps-Eval")
    found += _preferred("AudioCaps-Eval", people.fense(options.folder("fense_audiocaps_eval")), most)
    return found


def table(found: Sequence[Agreement]) -> Table:
    """Ours beside what was measured before, a row for each group of judgements."""
    values = {(one.judgements, one.metric): one for one in found}
    rows = []
    for name in EXPECTED:
        cells = [values[name, metric] for metric in METRICS]
        shown = [f"{one.value:.1f} ({one.expected:.1f}){'' if one.met else ' MISSED'}" for one in cells]
        rows.append((name, f"{cells[0].count:,}", *shown))
    return Table(
        "Agreement with people, in percent: ours (reported)", ("judgements", "number", *METRICS), rows
    )


def caption_scores(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Scores]:
    """Our scores of captions whose words stand apart, by metric; document frequencies of the references."""
    frequency = DocumentFrequency.of(references)
    bleu = in_buckets(bleu_coco, candidates, references)
    return {
        "BLEU-1": bleu[:, 0],
        "BLEU-4": bleu[:, 3],
        "ROUGE-L": in_buckets(rouge_l_coco, candidates, references),
        "CIDEr-D": in_buckets(lambda text, known: cider_d(text, known, frequency), candidates, references),
    }


def in_buckets(
    score: Callable[..., object],
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    size: int = 512,
) -> Scores:
    """The scores of captions, those of similar length together: a batch is as wide as its longest caption.

    Args:
        score: Of a list of texts and a list of lists of texts; a tensor with a row each.
        candidates: The texts.
        references: Several for each.
        size: How many are scored at a time.
    """
    order = np.argsort([len(text.split()) for text in candidates], kind="stable")
    parts = [
        np.asarray(score([candidates[i] for i in bucket], [references[i] for i in bucket]))
        for bucket in np.split(order, range(size, len(order), size))
    ]
    sorted_scores = np.concatenate(parts)
    scores = np.empty_like(sorted_scores)
    scores[order] = sorted_scores
    return scores


def split_all(split: Split, texts: Sequence[str]) -> list[str]:
    """Texts with one space between their words."""
    return [" ".join(split(text)) for text in texts]


def _tau(variant: str) -> Callable[[Scores, Scores], float]:
    def correlation(ours: Scores, scores: Scores) -> float:
        from scipy.stats import kendalltau

        return 100 * float(kendalltau(ours, scores, variant=variant).statistic)

    return correlation


def _pearson(ours: Scores, scores: Scores) -> float:
    return 100 * float(np.corrcoef(ours, scores)[0, 1])


def _rated(
    name: str,
    ratings: people.Ratings,
    split: Split,
    correlation: Callable[[Scores, Scores], float],
    most: int | None,
) -> Iterator[Agreement]:
    candidates = split_all(split, ratings.candidates[:most])
    ours = caption_scores(candidates, [split_all(split, texts) for texts in ratings.references[:most]])
    for metric in METRICS:
        value = correlation(ours[metric], ratings.scores[:most])
        yield Agreement(name, metric, value, len(candidates))


def _thumb(ratings: people.Ratings, most: int | None) -> Iterator[Agreement]:
    machines = [i for i, system in enumerate(ratings.groups) if system != "Human"]
    without = people.Ratings(
        [ratings.candidates[i] for i in machines],
        [ratings.references[i] for i in machines],
        ratings.scores[machines],
        [],
    )
    yield from _rated("THumB without people's captions, Pearson's r", without, simple_words, _pearson, most)
    yield from _rated("THumB, Pearson's r", ratings, simple_words, _pearson, most)


def _preferred(name: str, pairs: people.Preferences, most: int | None) -> Iterator[Agreement]:
    """How often the caption with the higher score is the preferred one; the second one of equal scores."""
    references = [split_all(simple_words, texts) for texts in pairs.references[:most]]
    first, second = (
        caption_scores(split_all(simple_words, texts[:most]), references)
        for texts in (pairs.first, pairs.second)
    )
    votes, groups = pairs.votes[:most], np.array(pairs.groups[:most])
    for group in ("HC", "HI", "HM", "MM", "all"):
        chosen = np.full(len(groups), True) if group == "all" else groups == group
        for metric in METRICS:
            right = ((first[metric] > second[metric]) == (votes > 0))[chosen]
            yield Agreement(f"{name}, {group}", metric, 100 * float(right.mean()), int(chosen.sum()))
