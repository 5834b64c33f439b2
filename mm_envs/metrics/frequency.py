"""Document frequencies of n-grams: the corpus statistics of CIDEr."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import log
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.arrays import Array
from mm_envs.metrics.lookup import Lookup
from mm_envs.metrics.ngrams import ABSENT, EXACT_IDS, NOTHING, ngram_keys
from mm_envs.metrics.text import Numbering, small_ids
from mm_envs.tokenizers import words_first

Corpus: TypeAlias = "Tensor | Iterable[Tensor] | Iterable[Sequence[str]]"

# Squares of weights are whole numbers of 2**-36: sums of whole numbers are equal in every batch. With
# idf = ln(1e6) the square of a norm fits into 63 bits up to 800 words.
WEIGHT_BITS = 36
_CHUNK = 4096


class DocumentFrequency:
    """The number of documents that contain each n-gram of 1 to 4 words, frozen on a corpus. Immutable.

    A document is an item with all its references. Look-ups run on the device of their argument.

    Args:
        keys: The n-grams, sorted, (G,) int64; see ``mm_envs.metrics.ngrams.ngram_keys``.
        counts: The number of documents with each of them, (G,) int64.
        documents: The number of documents N.
        words: The words of the ids from 3 on, if built from strings.
        exact: Whether all token ids are below 2**16.

    Example:
        >>> frequency = DocumentFrequency.of([["a red dog", "a dog"], ["a cat"]])
        >>> frequency.documents, frequency.counts.max().item(), len(frequency.words)
        (2, 2, 4)
    """

    def __init__(
        self,
        keys: Tensor,
        counts: Tensor,
        documents: int,
        words: Sequence[str] | None = None,
        exact: bool = True,
    ) -> None:
        self.keys, self.counts, self.documents = keys.cpu(), counts.cpu(), documents
        self.words, self.exact = None if words is None else tuple(words), exact
        self._unknown = _square(documents, 1)
        # What is no n-gram, in answers and in references, weighs nothing.
        several, which = np.unique(self.counts.numpy(), return_inverse=True)
        squares = np.array([_square(documents, count) for count in several.tolist()], dtype=np.int64)
        known = np.concatenate([[NOTHING, ABSENT], self.keys.numpy()])
        weights = np.concatenate([[0, 0], squares[which]])
        self._weights = Lookup(known, weights)

    @classmethod
    def of(
        cls, corpus: Corpus, tokenizer: str = "whitespace", exact: bool | None = None
    ) -> DocumentFrequency:
        """The document frequency of a corpus.

        Args:
            corpus: The references of each document: (n, R, L) int64, an iterable of such batches, or a list
                of lists of strings.
            tokenizer: Splits strings: "whitespace", "13a" or "alphanumeric".
            exact: Whether all ids, of answers too, are below 2**16; by default as in this corpus.
        """
        batches, words = _encoded(corpus, tokenizer)
        if words is not None:
            # Answers bring words of their own: there has to be room for them.
            exact = len(words) < EXACT_IDS // 2
        elif exact is None:
            exact = all(map(small_ids, batches))
        found = [_first_of_documents(ngram_keys(words_first(batch), exact)) for batch in batches]
        joined = np.concatenate([*found, np.zeros(0, dtype=np.int64)])
        keys, counts = np.unique(joined, return_counts=True)
        documents = sum(map(len, batches))
        return cls(torch.from_numpy(keys), torch.from_numpy(counts), documents, words, exact)

    def weights(self, keys: Array, unknown: bool) -> Array:
        """The squared weights ln(N / df)^2 of n-grams, int64 in units of 2**-36; the keys 0 and 1 are none.

        With ``unknown`` an n-gram of no document weighs ln N (CIDEr-D), else 0 (CIDEr v0.1).
        """
        return self._weights.find(keys, self._unknown if unknown else 0)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with the content."""
        words = json.dumps(self.words)
        about = {"documents": str(self.documents), "exact": json.dumps(self.exact), "words": words}
        hashed = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for tensor in (self.keys, self.counts):
            hashed.update(tensor.numpy().tobytes())
        return hashed.hexdigest()[:16]


def _encoded(corpus: Corpus, tokenizer: str) -> tuple[list[Tensor], tuple[str, ...] | None]:
    """The corpus in batches of token ids, and its words if it is made of strings."""
    if isinstance(corpus, Tensor):
        return [corpus], None
    items = list(corpus)
    batches = [item for item in items if isinstance(item, Tensor)]
    texts = [item for item in items if not isinstance(item, Tensor)]
    if not texts:
        return batches, None if batches else ()
    numbering = Numbering(tokenizer)
    batches = [numbering.encode(texts[at : at + _CHUNK]) for at in range(0, len(texts), _CHUNK)]
    return batches, tuple(numbering.ids)


def _square(documents: int, count: int) -> int:
    return round(log(max(documents, 1) / count) ** 2 * 2.0**WEIGHT_BITS)


def _first_of_documents(keys: Tensor) -> NDArray[np.int64]:
    """The n-grams of documents, (documents, ...) int64, each once a document, concatenated."""
    ordered = np.sort(keys.flatten(1).cpu().numpy(), axis=1)
    first = np.ones_like(ordered, dtype=np.bool_)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    found: NDArray[np.int64] = ordered[first & (ordered != NOTHING)]
    return found
