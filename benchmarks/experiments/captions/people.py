"""Agreement of our text metrics with people, compared with other implementations on the same captions.

Everything is in percent: rank and linear correlations times 100, accuracies in percent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment import Context
from benchmarks.experiments.captions import data
from benchmarks.experiments.captions.words import simple_words, treebank_words
from benchmarks.experiments.statistics import correlation
from benchmarks.report import Table
from mm_envs.metrics.bleu import bleu_coco
from mm_envs.metrics.cider import cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco

METRICS = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D")
MAX_DIFFERENCE = 0.5

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
        count: The number of judgements.
    """

    judgements: str
    metric: str
    value: float
    count: int

    @property
    def expected(self) -> float:
        """That of pycocoevalcap."""
        return EXPECTED[self.judgements][METRICS.index(self.metric)]

    @property
    def met(self) -> bool:
        """Whether ours is close enough, to the digit that is reported."""
        return round(abs(self.value - self.expected), 6) <= MAX_DIFFERENCE


SETS = ("Flickr8k experts", "Flickr8k crowd", "THumB", "PASCAL-50S, 5", "PASCAL-50S, 50", "AudioCaps-Eval")


def judgements(context: Context, seed: int, set: str, limit: int | None) -> list[dict[str, Any]]:
    """The agreement of our metrics with the people of a set, a row for each metric and group of judgements.

    Args:
        context: Names the folder of the set.
        seed: Not used.
        set: One of ``SETS``.
        limit: The number of judgements; None for all.
    """
    return [
        {**asdict(one), "expected": one.expected, "met": one.met} for one in _agreements(context, set, limit)
    ]


def _agreements(context: Context, set: str, limit: int | None) -> Iterator[Agreement]:
    if set.startswith("Flickr8k"):
        folder = context.folder("flickr8k_human_judgements")
        if set.endswith("experts"):
            yield from _rated(f"{set}, tau-c", data.flickr8k_expert(folder), treebank_words, "tau-c", limit)
        else:
            yield from _rated(f"{set}, tau-b", data.flickr8k_crowd(folder), treebank_words, "tau-b", limit)
    elif set == "THumB":
        yield from _thumb(data.thumb(context.folder("thumb_mscoco_ratings")), limit)
    elif set.startswith("PASCAL-50S"):
        pairs = data.pascal50s(context.folder("pascal50s_human_pairs"), int(set.split()[-1]))
        yield from _preferred(f"{set} references", pairs, limit)
    else:
        yield from _preferred(set, data.fense(context.folder("fense_audiocaps_eval")), limit)


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Ours and those measured before, a row for each group of judgements."""
    values = {(one["judgements"], one["metric"]): one for one in rows}
    lines = []
    for name in dict.fromkeys(one["judgements"] for one in rows):
        cells = [values[name, metric] for metric in METRICS]
        shown = [
            f"{one['value']:.1f} ({one['expected']:.1f}){'' if one['met'] else ' differs'}" for one in cells
        ]
        lines.append((name, f"{cells[0]['count']:,}", *shown))
    title = "Agreement with people, in percent: ours (pycocoevalcap on the same files)"
    return Table(title, ("judgements", "number", *METRICS), lines)


def caption_scores(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Scores]:
    """Our scores of captions by metric; document frequencies are those of the references."""
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


def _rated(
    name: str,
    ratings: data.Ratings,
    split: Split,
    kind: str,
    limit: int | None,
) -> Iterator[Agreement]:
    candidates = split_all(split, ratings.candidates[:limit])
    ours = caption_scores(candidates, [split_all(split, texts) for texts in ratings.references[:limit]])
    for metric in METRICS:
        value = 100 * correlation(ours[metric], ratings.scores[:limit], kind)
        yield Agreement(name, metric, value, len(candidates))


def _thumb(ratings: data.Ratings, limit: int | None) -> Iterator[Agreement]:
    machines = [i for i, system in enumerate(ratings.groups) if system != "Human"]
    without = data.Ratings(
        [ratings.candidates[i] for i in machines],
        [ratings.references[i] for i in machines],
        ratings.scores[machines],
        [],
    )
    yield from _rated("THumB without people's captions, Pearson's r", without, simple_words, "pearson", limit)
    yield from _rated("THumB, Pearson's r", ratings, simple_words, "pearson", limit)


def _preferred(name: str, pairs: data.Preferences, limit: int | None) -> Iterator[Agreement]:
    """How often the caption with the higher score is the preferred one; the second one of equal scores."""
    references = [split_all(simple_words, texts) for texts in pairs.references[:limit]]
    first, second = (
        caption_scores(split_all(simple_words, texts[:limit]), references)
        for texts in (pairs.first, pairs.second)
    )
    votes, groups = pairs.votes[:limit], np.array(pairs.groups[:limit])
    for group in ("HC", "HI", "HM", "MM", "all"):
        chosen = np.full(len(groups), True) if group == "all" else groups == group
        for metric in METRICS:
            right = ((first[metric] > second[metric]) == (votes > 0))[chosen]
            yield Agreement(f"{name}, {group}", metric, 100 * float(right.mean()), int(chosen.sum()))
