"""N-grams of up to four words: their counts in other sentences, and their 64-bit keys.

Sentences are compared word by word, and n-grams agree where n neighbours do: that cannot collide. Keys are
for the table of a corpus. With fewer than 2**16 token ids a key is the n-gram itself, 16 bits a word. With
more it is a polynomial in hashed words modulo 2**64 with an odd base: two given n-grams collide with
probability about 2**-63, two of a million with less than 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mm_envs.arrays import Array, full, library, numpy_on_cpu, on_host, padded, viewed, where
from mm_envs.metrics.ranks import earlier_by_rank, occurrences_by_rank
from mm_envs.random import fold
from mm_envs.tokenizers import is_padding, sizes

ORDERS = 4
# Padding: one number in answers, another one in the sentences that they are compared with.
NOTHING, ABSENT = 0, 1
EXACT_IDS = 2**16
_BASE = -7046029254386353131
_BYTES = 0x0101010101010101
_LONGEST_IN_BYTES = 248
# Pairs of positions from which n-grams are counted by ranks: measured, both ways take the same time at 250 to
# 400 words and one reference, and at 160 words and five; at 4,000 words the table takes 20 times as long.
_LARGEST_TABLE = 2**17
_CHUNK_BYTES = 2**22
_DEVICE_CHUNK_BYTES = 2**28


def ngram_keys(words: Array, exact: bool = True) -> Array:
    """Keys of the n-grams of 1 to 4 words at each position, (..., 4, L) int64; 0 beyond the last word.

    Args:
        words: Token ids, (..., L) int64, words first and zeros behind them.
        exact: Whether all ids are below 2**16.
    """
    return library(words).moveaxis(keys_by_order(words, exact), 0, -2)


@numpy_on_cpu
def keys_by_order(words: Array, exact: bool) -> Array:
    """``ngram_keys`` with the orders first, (4, ..., L) int64."""
    base = EXACT_IDS
    if not exact:
        words, base = where(is_padding(words), 0, fold(words, 0)), _BASE
    length = words.shape[-1]
    keys = full((ORDERS, *words.shape), 0, torch.int64, words)
    keys[0] = words
    for n in range(1, min(ORDERS, length)):
        following = words[..., n:]
        keys[n][..., : length - n] = (keys[n - 1][..., : length - n] * base + following) * (following != 0)
    return keys


@numpy_on_cpu
def occurrences(words: Array, among: Array, orders: int = ORDERS) -> Array:
    """How often the n-gram at each position occurs in other sentences, (orders, n, R, L) int64; 0 for none.

    ``words`` (n, L) and ``among`` (n, R, M) int64 have words first and zeros behind them, ``words`` at least
    one.

    Example:
        >>> others = torch.tensor([[[3, 4, 3], [4, 3, 0]]])
        >>> occurrences(torch.tensor([[3, 4, 3, 0]]), others, 2)[:, 0].tolist()
        [[[2, 1, 2, 0], [1, 1, 1, 0]], [[1, 1, 0, 0], [0, 1, 0, 0]]]
    """
    (n, length), several = words.shape, among.shape[1]
    if _long(words, several * length * among.shape[-1]):
        rows = zip(words, padded(among, 1), strict=True)
        return np.stack([occurrences_by_rank(*row, orders) for row in rows], 1)
    others = compared(among)
    found = _room((orders, n, several, length, others.shape[-1]), words)
    _equal(words[:, None, :, None], others[:, :, None], found[0])
    return _counted(_longer(found))


@numpy_on_cpu
def earlier(words: Array, orders: int = ORDERS) -> Array:
    """How often each n-gram of ``words``, as for ``occurrences``, occurred before in its own sentence.

    The result is (orders, n, L) int64. The sum of ``2 * earlier + 1`` over the positions of an n-gram is the
    square of its count ``a``, and ``earlier < b`` holds at ``min(a, b)`` of them: so counts are clipped
    without a table.

    Example:
        >>> earlier(torch.tensor([[3, 4, 3, 4, 0]]), 2)[:, 0].tolist()
        [[0, 0, 1, 1, 0], [0, 0, 1, 0, 0]]
    """
    n, length = words.shape
    if _long(words, length**2):
        return np.stack([earlier_by_rank(row, orders) for row in words], 1)
    others = compared(words)
    found = _room((orders, n, length, others.shape[-1]), words)
    _equal(words[:, :, None], others[:, None], found[0])
    found[0] &= _before(length, others.shape[-1], words.device if isinstance(words, Tensor) else None)
    return _counted(_longer(found))


def _long(words: Array, pairs: int) -> bool:
    """Whether ranks are faster than a table with so many pairs of positions an item."""
    return isinstance(words, np.ndarray) and len(words) > 0 and pairs > _LARGEST_TABLE


def compared(words: Array) -> Array:
    """Words to compare with, followed by one to eight entries that equal nothing."""
    return padded(where(is_padding(words), ABSENT, words), 8 - words.shape[-1] % 8, ABSENT)


def _room(shape: tuple[int, ...], like: Array) -> Array:
    """An array of truth values that are not set."""
    if isinstance(like, np.ndarray):
        return np.empty(shape, dtype=np.bool_)
    return like.new_empty(shape, dtype=torch.bool)


def _equal(one: Array, other: Array, out: Array) -> None:
    if isinstance(one, np.ndarray):
        np.equal(one, other, out=out)
    else:
        torch.eq(one, other, out=out)


def _longer(found: Array) -> Array:
    """Extends ``found`` (orders, ..., L, M) bool, false in the last row and column, from words to n-grams."""
    flat = found.reshape(len(found), -1)
    # One position on in both sentences; from the last row or column, where nothing agrees, it wraps around.
    step = found.shape[-1] + 1
    flat[1:, -step:] = False
    for n in range(1, len(flat)):
        library(flat).bitwise_and(flat[n - 1, :-step], flat[n - 1, step:], out=flat[n, :-step])
    return found


def _counted(same: Array) -> Array:
    """The number of true entries along the last dimension, int64."""
    if same.shape[-1] > _LONGEST_IN_BYTES:
        return same.sum(-1)
    # Eight truth values at a time: a sum of bytes, and a product that adds up the eight bytes of the sum.
    eights = viewed(same, torch.int64)
    # Not sum(-1): a reduction over a few numbers takes much longer than additions.
    counts = eights[..., 0]
    for index in range(1, eights.shape[-1]):
        counts = counts + eights[..., index]
    return ((counts * _BYTES) >> 56) & 0xFF


@lru_cache(maxsize=64)
def _before(length: int, width: int, device: torch.device | None) -> Array:
    before = torch.ones((length, width), dtype=torch.bool).tril(-1)
    return before.numpy() if device is None else before.to(device)


def by_rows(score: Callable[..., Tensor], words: Tensor, references: Tensor, *others: Tensor) -> Tensor:
    """The scores of all rows, computed in chunks whose intermediate results stay in the cache.

    On the CPU answers of similar length are scored together with little padding; elsewhere looking for the
    longest one would wait for the device. ``score`` maps rows of ``words`` (n, L), ``references`` (n, R, M)
    and ``others`` to one result a row, whatever the padding.
    """
    (n, width), (several, length) = words.shape, references.shape[1:]
    word_bytes = ORDERS * several * (length + 8)
    if not on_host(words):
        rows = max(1, _DEVICE_CHUNK_BYTES // (word_bytes * (width + 1)))
        chunks = zip(*(torch.split(tensor, rows) for tensor in (words, references, *others)), strict=True)
        return torch.cat([score(*chunk) for chunk in chunks])
    if n * word_bytes * (width + 1) <= _CHUNK_BYTES:
        return score(words, references, *others)
    ordered, order = sizes(words).sort(descending=True)
    longest, parts, at = ordered.tolist(), [], 0
    while at < n:
        rows = max(1, _CHUNK_BYTES // (word_bytes * (longest[at] + 1)))
        mine, known, *rest = (
            tensor.index_select(0, order[at : at + rows]) for tensor in (words, references, *others)
        )
        parts.append(score(mine[:, : max(1, longest[at])], without_padding(known), *rest))
        at += rows
    scores = torch.cat(parts)
    return torch.empty_like(scores).index_copy_(0, order, scores)


@numpy_on_cpu
def without_padding(words: Array) -> Array:
    """Words, (n, R, M) int64, cut to the longest sentence (at least one word); unchanged on a device."""
    if isinstance(words, Tensor) or not words.size:
        return words
    return words[..., : max(1, np.count_nonzero(words.reshape(-1, words.shape[-1]).max(0)))]
