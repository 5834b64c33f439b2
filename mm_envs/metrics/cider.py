"""CIDEr and CIDEr-D (Vedantam et al., 2015, arXiv:1411.5726): two definitions under two names.

Both are cosines of vectors of n-gram counts, weighted by ln(N / df), between an answer and each reference,
averaged over the references and over n = 1 to 4:

============================== ==================== ==================================
metric                         ``cider`` (v0.1)     ``cider_d`` (as in COCO)
============================== ==================== ==================================
count of an n-gram             unchanged            clipped to that of the reference
difference in length           ignored              exp(-d^2 / 72), d in bigrams
n-gram of no document          dropped              weighs ln N
scale                          0 to 1               0 to 10
============================== ==================== ==================================

Sums run over whole numbers and everything else row by row in double precision, so that a score has the same
bits in every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import inf

import torch
from torch import Tensor

from mm_envs.arrays import Array, cast, library, numpy_on_cpu, padded, take, where
from mm_envs.metrics.arithmetic import exponential
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.ngrams import (
    EXACT_IDS,
    ORDERS,
    by_rows,
    earlier,
    keys_by_order,
    occurrences,
    without_padding,
)
from mm_envs.metrics.text import Numbering, References, Response, small_ids
from mm_envs.tokenizers import sizes, words_first

_PENALTY = -0.5 / 6.0**2
_COSINE_BITS = 46


@dataclass(frozen=True)
class Definition:
    """The differences between the definitions of CIDEr.

    Attributes:
        clip: Whether counts are clipped to those of the reference, and lengths compared.
        unknown: Whether n-grams of no document count in the norm of an answer.
        scale: The best score.
    """

    clip: bool
    unknown: bool
    scale: float


V01 = Definition(clip=False, unknown=False, scale=1.0)
D = Definition(clip=True, unknown=True, scale=10.0)


@dataclass(frozen=True)
class ReferenceVectors:
    """References of n items, prepared once an item.

    Attributes:
        words: (n, R, M) int64, words first and zeros behind them; one without words is absent.
        norms: The norms of their vectors, (n, R, 4) float64; 0 where a reference is absent.
    """

    words: Tensor
    norms: Tensor

    @classmethod
    def of(cls, words: Tensor, frequency: DocumentFrequency, definition: Definition) -> ReferenceVectors:
        """The vectors of references, (n, R, M) int64, words first and zeros behind them."""
        sentences = words.flatten(0, 1)
        norms = by_rows(partial(_reference_norms, frequency, definition), sentences, sentences[:, None])
        return cls(words, norms.view(*words.shape[:2], ORDERS))

    def __len__(self) -> int:
        return len(self.norms)

    def __getitem__(self, items: Tensor) -> ReferenceVectors:
        return ReferenceVectors(self.words.index_select(0, items), self.norms.index_select(0, items))


def score_words(
    words: Tensor, references: ReferenceVectors, frequency: DocumentFrequency, definition: Definition
) -> Tensor:
    """CIDEr, (n,) float64, of answers (n, L) with words first against the references of the same items."""
    return by_rows(partial(_score, frequency, definition), words, references.words, references.norms)


@numpy_on_cpu
def _score(
    frequency: DocumentFrequency, definition: Definition, words: Array, references: Array, norms: Array
) -> Array:
    weights, before, mine = _vectors(words, frequency, definition)
    references = without_padding(references)
    counts = occurrences(padded(words, 1), references)
    if definition.clip:
        counts *= before[:, :, None] < counts
    counts *= weights[:, :, None]
    product = cast(counts.sum(-1), torch.float64)
    norm = mine[:, :, None] * library(norms).moveaxis(norms, 2, 0)
    # A vector without length has cosine 0 with all others.
    cosine = product / where(norm > 0, norm, inf)
    lengths = sizes(references)
    if definition.clip:
        difference = _bigrams(sizes(words)[:, None]) - _bigrams(lengths)
        longest = max(words.shape[-1], references.shape[-1])
        device = words.device if isinstance(words, Tensor) else None
        cosine *= take(_penalties(-longest // 64 * -64, device), abs(difference))
    # Whole numbers again: their sum does not depend on the order.
    total = cast(cast((cosine * 2.0**_COSINE_BITS).round(), torch.int64).sum((0, 2)), torch.float64)
    return total / ((lengths > 0).sum(1).clip(1) * (ORDERS * 2**_COSINE_BITS)) * definition.scale


@numpy_on_cpu
def _reference_norms(
    frequency: DocumentFrequency, definition: Definition, words: Array, _same: Array
) -> Array:
    return _vectors(words, frequency, definition)[2].T


def _vectors(
    words: Array, frequency: DocumentFrequency, definition: Definition
) -> tuple[Array, Array, Array]:
    """Of the n-grams of sentences (n, L): squared weights, earlier occurrences, and norms (4, n) float64."""
    words = padded(words, 1)
    weights = frequency.weights(keys_by_order(words, frequency.exact), definition.unknown)
    before = earlier(words)
    norms = cast(((2 * before + 1) * weights).sum(-1), torch.float64)
    return weights, before, library(norms).sqrt(norms)


@lru_cache(maxsize=64)
def _penalties(longest: int, device: torch.device | None) -> Array:
    """The factor for each difference of lengths from 0 to ``longest``, float64."""
    factors = exponential(torch.arange(longest + 1, dtype=torch.float64).square() * _PENALTY)
    return factors.numpy() if device is None else factors.to(device)


def _bigrams(size: Array) -> Array:
    return (size - 1).clip(0)


class Cider:
    """CIDEr v0.1 of many answers against prepared references.

    Args:
        references: Of each item, (items, R, any length) int64 or a list of lists of strings.
        frequency: The frozen document frequency; built from strings if the references are strings.
        tokenizer: Splits strings.

    Raises:
        ValueError: Strings, and the document frequency was built from token ids.
    """

    definition = V01

    def __init__(
        self, references: References, frequency: DocumentFrequency, tokenizer: str = "whitespace"
    ) -> None:
        self.frequency = frequency
        self._numbering: Numbering | None = None
        if not isinstance(references, Tensor):
            if frequency.words is None:
                raise ValueError(
                    "the document frequency was built from token ids: build it from strings to score strings"
                )
            self._numbering = Numbering(tokenizer, frequency.words)
        words = self._words(references, self._numbering)
        self.vectors = ReferenceVectors.of(words, frequency, self.definition)

    def _words(self, texts: References, numbering: Numbering | None) -> Tensor:
        """Checked token ids, words first."""
        if isinstance(texts, Tensor):
            words = words_first(texts)
            # Elsewhere looking would wait for the device.
            if self.frequency.exact and words.device.type == "cpu" and not small_ids(words):
                raise ValueError(
                    f"token id {int(words.max())} is not below {EXACT_IDS}: build frequency with exact=False"
                )
            return words
        if numbering is None:
            raise ValueError(
                "the references were token ids, and the answers are strings: give both as one kind"
            )
        words = numbering.encode(texts)
        if self.frequency.exact and len(numbering) > EXACT_IDS:
            raise ValueError(
                f"{len(numbering)} different words are above {EXACT_IDS}: score fewer answers at a time"
            )
        return words

    def score(self, response: Response, items: Tensor | Sequence[int] | None = None) -> Tensor:
        """The scores of answers (n, L) int64, or n strings if the references were strings: (n,) float64.

        ``items`` gives the item of each answer; None: answer i belongs to item i.
        """
        vectors = self.vectors
        if items is not None:
            vectors = vectors[torch.as_tensor(items, device=vectors.norms.device)]
        numbering = None if self._numbering is None else self._numbering.copy()
        texts = response if isinstance(response, Tensor) else [[text] for text in response]
        words = self._words(texts, numbering).flatten(1)
        if len(words) != len(vectors):
            raise ValueError(
                f"{len(words)} answers for {len(vectors)} items: give items=, one for each answer"
            )
        return score_words(words, vectors, self.frequency, self.definition)


class CiderD(Cider):
    """CIDEr-D of many answers against prepared references; see ``Cider``."""

    definition = D


def cider(
    response: Response, references: References, frequency: DocumentFrequency, tokenizer: str = "whitespace"
) -> Tensor:
    """CIDEr v0.1 as first published, (n,) float64 in [0, 1] (arXiv:1411.5726, equations 2 and 3).

    The authors stem words first; here words are compared as they are.

    Example:
        >>> frequency = DocumentFrequency.of([["a red dog"], ["a blue cat"]])
        >>> cider(["a red dog sits down"], [["a red dog"]], frequency).item()
        0.75
    """
    return Cider(references, frequency, tokenizer).score(response)


def cider_d(
    response: Response, references: References, frequency: DocumentFrequency, tokenizer: str = "whitespace"
) -> Tensor:
    """CIDEr-D as COCO's evaluation computes it, (n,) float64 in [0, 10] (arXiv:1411.5726, section 6).

    Counts are clipped to those of the reference, cosines are multiplied by exp(-d^2 / (2 * 6^2)) for a
    difference of d bigrams, an n-gram of no document weighs ln N, and the mean is multiplied by 10. COCO
    takes the document frequency of the references themselves.

    Example:
        >>> references = [["a red dog runs"], ["a blue cat sits"]]
        >>> frequency = DocumentFrequency.of(references)
        >>> cider_d(["a red dog runs", "a red dog runs"], references, frequency).tolist()
        [10.0, 0.0]
    """
    return CiderD(references, frequency, tokenizer).score(response)
