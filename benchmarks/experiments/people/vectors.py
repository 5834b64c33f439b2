"""Words as vectors, learned from captions of the same picture.

The metrics of the library take "puppy" and "dog" for two words that have nothing to do with each other.
Latent semantic analysis (Deerwester et al., "Indexing by latent semantic analysis", JASIS 41(6), 1990)
relates them after a few thousand pictures, without any judgements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = "NDArray[np.float64]"


@dataclass(frozen=True)
class WordVectors:
    """Words with a direction and a weight.

    Attributes:
        ids: The index of every known word; all others share the last index.
        similar: The cosine of every two words, (words + 1, words + 1) float32, not below 0; unknown words
            are like nothing.
        rarity: The weight of every word, log of documents over documents with the word.
        directions: (words + 1, size) float32 of length 1; 0 for unknown words.
    """

    ids: dict[str, int]
    similar: NDArray[np.float32]
    rarity: Numbers
    directions: NDArray[np.float32]

    @classmethod
    def of(cls, documents: Sequence[Sequence[str]], size: int = 100, min_documents: int = 3) -> WordVectors:
        """The vectors of the words of some documents.

        Args:
            documents: The words of each, such as all captions of one picture.
            size: The number of singular vectors.
            min_documents: The number of documents that a word has to be in.

        Example:
            >>> documents = [["dog", "puppy", "grass"], ["puppy", "dog", "ball"], ["car", "road"]] * 3
            >>> vectors = WordVectors.of(documents, size=2)
            >>> dog, puppy, car = (vectors.ids[word] for word in ("dog", "puppy", "car"))
            >>> bool(vectors.similar[dog, puppy] > 0.9 > 0.1 > vectors.similar[dog, car])
            True
        """
        from scipy.sparse import csr_matrix
        from scipy.sparse.linalg import svds

        spread = Counter(word for words in documents for word in set(words))
        known = sorted(word for word, count in spread.items() if count >= min_documents)
        ids = {word: index for index, word in enumerate(known)}
        rarity = np.log(len(documents) / np.array([spread[word] for word in known]))
        cells = [
            (ids[word], column, np.log1p(count) * rarity[ids[word]])
            for column, words in enumerate(documents)
            for word, count in Counter(words).items()
            if word in ids
        ]
        rows, columns, values = (np.array(one) for one in zip(*cells, strict=True))
        table = csr_matrix((values, (rows, columns)), shape=(len(known), len(documents)))
        left, strength, _ = svds(table, k=min(size, min(table.shape) - 1), random_state=0)
        directions = left * np.sqrt(strength)
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        directions = np.vstack([directions, np.zeros(directions.shape[1])]).astype(np.float32)
        similar = np.maximum(directions @ directions.T, 0)
        np.fill_diagonal(similar, 1.0)
        # An unknown word is rarer than any known one.
        return cls(ids, similar, np.append(rarity, np.log(len(documents))), directions)

    def encode(self, words: Sequence[str]) -> NDArray[np.int64]:
        """The indices of some words."""
        return np.array([self.ids.get(word, len(self.ids)) for word in words], dtype=np.int64)
