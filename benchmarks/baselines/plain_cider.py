"""CIDEr-D of one caption at a time in plain Python, with everything about the references kept.

What a careful author of a ``gym.Env`` would write after finding a scorer that counts the references anew with
every caption: it is the yardstick of speed for the batched metric, and a second proof of its numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import TypeAlias

Words: TypeAlias = "Sequence[Hashable]"
Counts: TypeAlias = "Counter[tuple[Hashable, ...]]"
Vector: TypeAlias = "dict[tuple[Hashable, ...], float]"


def ngrams(words: Words, n: int) -> Counts:
    """How often each n-gram stands in a text.

    Example:
        >>> ngrams(["a", "b", "a", "b"], 2)
        Counter({('a', 'b'): 2, ('b', 'a'): 1})
    """
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


@dataclass(frozen=True)
class CookedReference:
    """What never changes of a reference.

    Attributes:
        vectors: The weight of each of its n-grams, one dict for each n.
        norms: The Euclidean norm of each of them.
        pairs: The number of its 2-grams: the original program takes that for the length of a text.
    """

    vectors: tuple[Vector, ...]
    norms: tuple[float, ...]
    pairs: int


class PlainCiderD:
    """CIDEr-D with a document frequency that is counted once.

    CIDEr-D (Vedantam, Zitnick and Parikh, 2015, arXiv:1411.5726, section 6), as the original program has it:

        10 / (N R) * sum over n, r of exp(-(l - l_r)^2 / (2 sigma^2)) * min(g, g_r) . g_r / (|g| |g_r|),

    where g are the counts of n-grams times ln(documents / max(1, documents that hold the n-gram)).

    Args:
        documents: The references of each item of the corpus.
        n: The longest n-grams.
        sigma: The width of the penalty of length.

    Example:
        >>> scorer = PlainCiderD([[["a", "red", "cross"]], [["a", "blue", "square"]]], n=1)
        >>> references = scorer.cook([["a", "red", "cross"]])
        >>> round(scorer.score(["a", "red", "cross"], references), 6)
        10.0
        >>> round(scorer.score(["a", "red", "square"], references), 6)
        5.0
    """

    def __init__(self, documents: Iterable[Sequence[Words]], n: int = 4, sigma: float = 6.0) -> None:
        self.n, self._sigma, number = n, sigma, 0
        frequency: Counter[tuple[Hashable, ...]] = Counter()
        for references in documents:
            number += 1
            frequency.update(
                {gram for text in references for k in range(1, n + 1) for gram in ngrams(text, k)}
            )
        self._unseen = log(number)
        self._weights = {gram: self._unseen - log(count) for gram, count in frequency.items()}
        self._penalties: dict[int, float] = {}

    def cook(self, references: Iterable[Words]) -> tuple[CookedReference, ...]:
        """References as ``score`` takes them: to be done once for each item."""
        return tuple(CookedReference(*self._cook(words)) for words in references)

    def score(self, words: Words, references: Sequence[CookedReference]) -> float:
        """CIDEr-D of one caption, in [0, 10].

        Args:
            words: The caption.
            references: What ``cook`` returned.
        """
        vectors, norms, pairs = self._cook(words)
        total = 0.0
        for reference in references:
            similarity = 0.0
            for mine, norm, theirs, their_norm in zip(
                vectors, norms, reference.vectors, reference.norms, strict=True
            ):
                common = mine.keys() & theirs.keys()
                if common and norm and their_norm:
                    product = 0.0
                    for gram in common:
                        weight = theirs[gram]
                        product += min(mine[gram], weight) * weight
                    similarity += product / (norm * their_norm)
            if similarity:
                total += similarity * self._penalty(pairs - reference.pairs)
        return 10 * total / (self.n * len(references))

    def _cook(self, words: Words) -> tuple[tuple[Vector, ...], tuple[float, ...], int]:
        weights, unseen = self._weights, self._unseen
        vectors = tuple(
            {gram: count * weights.get(gram, unseen) for gram, count in ngrams(words, k).items()}
            for k in range(1, self.n + 1)
        )
        norms = tuple(sqrt(sum([weight * weight for weight in vector.values()])) for vector in vectors)
        return vectors, norms, max(len(words) - 1, 0)

    def _penalty(self, difference: int) -> float:
        if difference not in self._penalties:
            self._penalties[difference] = exp(-(difference**2) / (2 * self._sigma**2))
        return self._penalties[difference]
