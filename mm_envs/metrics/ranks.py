"""N-grams of long texts on the CPU, counted by their ranks among all n-grams of two texts.

A table of all pairs of positions grows with the product of the lengths, ranks with their sum. As in the
table, n-grams are compared by their words and cannot collide.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def occurrences_by_rank(words: Integers, others: Integers, orders: int) -> Integers:
    """``mm_envs.metrics.ngrams.occurrences`` of one answer (L,) among (R, M), (orders, R, L) int64.

    Words come first; at least one zero is behind them in ``words`` and in each row of ``others``.

    Example:
        >>> occurrences_by_rank(np.array([3, 4, 3, 0]), np.array([[3, 4, 3, 0], [4, 3, 0, 0]]), 2).tolist()
        [[[2, 1, 2, 0], [1, 1, 1, 0]], [[1, 1, 0, 0], [0, 1, 0, 0]]]
    """
    found = np.empty((orders, len(others), len(words)), dtype=np.int64)
    for order, ranks in enumerate(_ranks(np.concatenate([words, others.reshape(-1)]), orders)):
        mine, theirs = ranks[: len(words)], ranks[len(words) :].reshape(others.shape)
        for index, row in enumerate(theirs):
            counts = np.bincount(row, minlength=len(ranks))
            counts[0] = 0
            found[order, index] = counts[mine]
    return found


def earlier_by_rank(words: Integers, orders: int) -> Integers:
    """``mm_envs.metrics.ngrams.earlier`` of one sentence (L,) with a zero at its end, (orders, L) int64.

    Example:
        >>> earlier_by_rank(np.array([3, 4, 3, 4, 0]), 2).tolist()
        [[0, 0, 1, 1, 0], [0, 0, 1, 0, 0]]
    """
    found = np.empty((orders, len(words)), dtype=np.int64)
    for order, ranks in enumerate(_ranks(words, orders)):
        positions = np.argsort(ranks, kind="stable")
        ordered = ranks[positions]
        found[order, positions] = (np.arange(len(words)) - np.searchsorted(ordered, ordered)) * (ordered > 0)
    return found


def _ranks(words: Integers, orders: int) -> Iterator[Integers]:
    """For 1 to ``orders`` words the rank of the n-gram at each position, (L,); 0 where it has padding.

    ``words`` (L,) holds zeros as padding, one of them at the end.
    """
    first = last = np.unique(words, return_inverse=True)[1]
    yield first
    for n in range(1, orders):
        following = np.zeros_like(first)
        following[:-n] = first[n:]
        # One number for the rank before and the word that follows: both are below the number of words.
        pair = (last * len(words) + following) * ((last > 0) & (following > 0))
        last = np.unique(pair, return_inverse=True)[1]
        yield last
