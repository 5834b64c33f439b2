"""In how many documents an n-gram stands: the frozen side of CIDEr."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import log
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from mm_envs.data.text import SPECIALS, Vocabulary
from mm_envs.metrics.ngrams import ABSENT, EXACT_IDS, NOTHING, ngram_keys
from mm_envs.metrics.text import Numbering, small_ids, words_of

Corpus: TypeAlias = "Tensor | Iterable[Tensor] | Sequence[Sequence[str]]"

# Squares of weights are whole numbers of 2**-36: sums of whole numbers are equal in every batch. With
# idf = ln(1e6) the square of a norm fits into 63 bits up to 800 words.
WEIGHT_BITS = 36
_STRINGS_EXACT = EXACT_IDS // 2


class DocumentFrequency:
    """In how many documents each n-gram of 1 to 4 words stands, frozen on a corpus. Immutable.

    A document is an item with all its references. Keys are exact below 2**16 token ids (see
    ``mm_envs.metrics.ngrams``); a look-up is a binary search on the device of what is looked up.

    Args:
        keys: The n-grams, sorted, (G,) int64.
        counts: In how many documents each of them stands, (G,) int64.
        documents: The number of documents N.
        vocabulary: The words of the ids, if it was built from strings.
        exact: Whether all token ids lie below 2**16.

    Attributes:
        digest: Sixteen hexadecimal digits that change whenever anything of it does.

    Example:
        >>> frequency = DocumentFrequency.of([["a red dog", "a dog"], ["a cat"]])
        >>> frequency.documents, frequency.count("a"), frequency.count("red dog"), frequency.count("cat dog")
        (2, 2, 1, 0)
    """

    def __init__(
        self,
        keys: Tensor,
        counts: Tensor,
        documents: int,
        vocabulary: Vocabulary | None = None,
        exact: bool = True,
    ) -> None:
        self.keys, self.counts, self.documents = keys.cpu(), counts.cpu(), documents
        self.vocabulary, self.exact = vocabulary, exact
        self._on: dict[tuple[torch.device, bool], tuple[Tensor, Tensor, int]] = {}

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        tokenizer: str = "whitespace",
        exact: bool | None = None,
    ) -> DocumentFrequency:
        """The document frequency of a corpus.

        Args:
            corpus: The references of each document: (n, R, L) int64, or an iterable of such batches, or a
                list of lists of strings.
            tokenizer: How strings are parted: "whitespace", "13a" or "alphanumeric".
            exact: Whether all ids of answers, too, lie below 2**16; by default as in this corpus.
        """
        vocabulary = None
        if isinstance(corpus, Tensor):
            corpus = [corpus]
        corpus = list(corpus)  # type: ignore[arg-type]
        if not corpus or not isinstance(corpus[0], Tensor):
            numbering = Numbering(tokenizer)
            corpus = list(numbering.encode(corpus).split(4096)) if corpus else []  # type: ignore[arg-type]
            vocabulary = Vocabulary((*SPECIALS, *numbering.ids))
            # Answers bring words of their own: there has to be room for them.
            exact = len(vocabulary) <= _STRINGS_EXACT
        batches: list[Tensor] = corpus  # type: ignore[assignment]
        exact = all(map(small_ids, batches)) if exact is None else exact
        found = [_first_of_documents(ngram_keys(words_of(batch), exact)) for batch in batches]
        keys, counts = torch.cat([*found, torch.zeros(0, dtype=torch.int64)]).unique(return_counts=True)
        return cls(keys, counts, sum(map(len, batches)), vocabulary, exact)

    def count(self, ngram: str) -> int:
        """In how many documents an n-gram stands, given in words.

        Raises:
            ValueError: It was built from token ids, or it is no n-gram of 1 to 4 words.
        """
        if self.vocabulary is None:
            raise ValueError("this document frequency was built from token ids: it does not know their words")
        words = self.vocabulary.encode(ngram)
        if not 1 <= len(words) <= 4:
            raise ValueError(f"ngram={ngram!r} has {len(words)} words: give 1 to 4")
        key = ngram_keys(words, self.exact)[len(words) - 1, 0]
        place = (self.keys == key).nonzero()
        return int(self.counts[place[0, 0]]) if len(place) else 0

    def weights(self, keys: Tensor, unknown: bool) -> Tensor:
        """The square of the weight ln(N / df) of n-grams, in whole numbers of 2**-36.

        Args:
            keys: N-grams, int64 of any shape; 0 and 1 stand for none.
            unknown: Whether an n-gram of no document weighs ln N (CIDEr-D), or 0 (CIDEr v0.1).

        Returns:
            int64 of the same shape.
        """
        known, weights, other = self._tables(keys.device, unknown)
        place = torch.searchsorted(known, keys)
        place = place.clamp_(max=len(known) - 1)
        flat = place.flatten()
        found = known.index_select(0, flat).view_as(keys) == keys
        return torch.where(found, weights.index_select(0, flat).view_as(keys), other)

    def _tables(self, device: torch.device, unknown: bool) -> tuple[Tensor, Tensor, int]:
        """Known n-grams and their weights (none, in answers and references, has weight 0)."""
        if (device, unknown) not in self._on:
            n = max(self.documents, 1)
            several, place = self.counts.unique(return_inverse=True)
            squares = torch.tensor([_square(n, count) for count in several.tolist()], dtype=torch.int64)
            keys = torch.cat([torch.tensor([NOTHING, ABSENT]), self.keys])
            weights = torch.cat([torch.zeros(2, dtype=torch.int64), squares[place]])
            order = keys.argsort()
            other = _square(n, 1) if unknown else 0
            self._on[device, unknown] = (keys[order].to(device), weights[order].to(device), other)
        return self._on[device, unknown]

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change whenever anything of it does."""
        hashed = hashlib.sha256(json.dumps(self._said(), sort_keys=True).encode())
        for tensor in (self.keys, self.counts):
            hashed.update(tensor.numpy().tobytes())
        return hashed.hexdigest()[:16]

    def _said(self) -> dict[str, str]:
        words = "" if self.vocabulary is None else self.vocabulary.to_json()
        return {"documents": str(self.documents), "exact": str(int(self.exact)), "vocabulary": words}

    def save(self, path: str | Path) -> None:
        """Writes it to a safetensors file; ``load`` reads it back."""
        from safetensors.torch import save_file

        save_file({"keys": self.keys, "counts": self.counts}, str(path), self._said())

    @classmethod
    def load(cls, path: str | Path) -> DocumentFrequency:
        """What ``save`` wrote.

        Raises:
            ValueError: The file holds something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "pt") as file:
                said = file.metadata() or {}
                words = said["vocabulary"]
                vocabulary = Vocabulary.from_json(words) if words else None
                keys, counts = file.get_tensor("keys"), file.get_tensor("counts")
                return cls(keys, counts, int(said["documents"]), vocabulary, said["exact"] == "1")
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(
                f"{path} holds no document frequency ({error}): write one with DocumentFrequency.save"
            ) from error


def _square(documents: int, frequency: int) -> int:
    return round(log(documents / frequency) ** 2 * 2**WEIGHT_BITS)


def _first_of_documents(keys: Tensor) -> Tensor:
    """The n-grams of documents, (documents, ...) int64, each once a document, one after the other."""
    ordered = keys.flatten(1).cpu().sort(1).values
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return ordered[first & (ordered != 0)]
