"""Numbers of a caption and its references: our metrics, and plainer ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.captions.people import in_buckets
from benchmarks.experiments.people.vectors import WordVectors
from mm_envs.metrics.bleu import bleu_coco, sentence_bleu
from mm_envs.metrics.cider import cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google

Numbers: TypeAlias = "NDArray[np.float64]"

METRICS = (
    "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "BLEU (sacrebleu)",
    "ROUGE-L (COCO)", "ROUGE-L (Google)", "CIDEr", "CIDEr-D",
)  # fmt: skip
PLAIN = (
    "words known", "rare words known", "rare words mentioned", "meaning precision", "meaning recall",
    "meaning F1", "meaning cosine", "consensus", "words", "words over references", "words repeated",
)  # fmt: skip


@dataclass(frozen=True)
class Features:
    """Numbers of n captions.

    Attributes:
        names: METRICS, then PLAIN.
        values: (n, names) float64.
        agreement: What every direction of meaning adds to "meaning cosine", (n, directions) float64.
    """

    names: tuple[str, ...]
    values: Numbers
    agreement: Numbers

    def __getitem__(self, name: str) -> Numbers:
        """One of them, (n,)."""
        return self.values[:, self.names.index(name)]


def features(
    candidates: Sequence[str], references: Sequence[Sequence[str]], vectors: WordVectors
) -> Features:
    """All numbers of some captions.

    Args:
        candidates: n texts, one space between words.
        references: Several for each; document frequencies are theirs.
        vectors: Of words.
    """
    frequency = DocumentFrequency.of(references)
    bleu = in_buckets(bleu_coco, candidates, references)
    metrics = [
        *bleu.T,
        in_buckets(sentence_bleu, candidates, references),
        in_buckets(rouge_l_coco, candidates, references),
        in_buckets(rouge_l_google, candidates, references),
        in_buckets(lambda text, known: cider(text, known, frequency), candidates, references),
        in_buckets(lambda text, known: cider_d(text, known, frequency), candidates, references),
    ]
    rows = [
        plain_numbers(text.split(), [one.split() for one in known], vectors)
        for text, known in zip(candidates, references, strict=True)
    ]
    plain, agreement = (np.array(one) for one in zip(*rows, strict=True))
    values = np.concatenate([np.stack(metrics, axis=1), plain], axis=1)
    return Features(METRICS + PLAIN, values, agreement)


def plain_numbers(
    words: Sequence[str], references: Sequence[Sequence[str]], vectors: WordVectors
) -> tuple[Numbers, Numbers]:
    """The numbers of one caption that ``PLAIN`` names, and its agreement.

    "words known" is the share of its words that some reference has, "rare words known" the same weighted by
    rarity, "rare words mentioned" the share of a reference's words, weighted by rarity, that the caption has
    (mean over references). The meanings match every word with the most similar one of the other side, as
    BERTScore does (Zhang et al., 2020, arXiv:1904.09675), with vectors that know no sentence; the cosine is
    that of the weighted means, and the agreement holds its summands, direction by direction.
    "consensus" is the share of references that have a word, mean over words.
    """
    if not words or not any(references):
        return np.zeros(len(PLAIN)), np.zeros(vectors.directions.shape[1])
    references = [one for one in references if one]
    mine = vectors.encode(words)
    sets = [set(one) for one in references]
    has = np.array([[word in known for word in words] for known in sets])
    found = np.asarray(has.any(axis=0))
    weight = vectors.rarity[mine]
    mentioned = [_share(np.isin(one, mine), vectors.rarity[one]) for one in map(vectors.encode, references)]
    precision, recall, agreement = _meaning(mine, weight, references, vectors)
    length = float(np.mean([len(one) for one in references]))
    numbers = np.array(
        [
            found.mean(),
            _share(found, weight),
            np.mean(mentioned),
            precision,
            recall,
            2 * precision * recall / max(precision + recall, 1e-12),
            agreement.sum(),
            has.mean(),
            len(words) / 10,
            np.log(len(words) / length),
            1 - len(set(words)) / len(words),
        ]
    )
    return numbers, agreement


def _share(there: Numbers | NDArray[np.bool_], weight: Numbers) -> float:
    return float((there * weight).sum() / max(weight.sum(), 1e-12))


def _meaning(
    mine: NDArray[np.int64], weight: Numbers, references: Sequence[Sequence[str]], vectors: WordVectors
) -> tuple[float, float, Numbers]:
    """Precision against all references together; recall and agreement, means over references."""
    theirs = [vectors.encode(one) for one in references]
    every = np.concatenate(theirs)
    similar = vectors.similar[mine[:, None], every]
    precision = _share(similar.max(axis=1), weight)
    best = np.split(similar.max(axis=0), np.cumsum([len(one) for one in theirs])[:-1])
    recall = np.mean([_share(found, vectors.rarity[one]) for found, one in zip(best, theirs, strict=True)])
    means = np.stack([_direction(one, vectors) for one in theirs])
    return precision, float(recall), _direction(mine, vectors) * means.mean(0)


def _direction(words: NDArray[np.int64], vectors: WordVectors) -> Numbers:
    """The mean of the vectors of some words, weighted by rarity, at length 1."""
    mean: Numbers = vectors.rarity[words] @ vectors.directions[words]
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
