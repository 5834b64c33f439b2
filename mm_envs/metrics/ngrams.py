"""N-grams of up to four words as 64-bit keys, and how often one sentence has those of another.

With fewer than 2**16 token ids a key is the n-gram itself, 16 bits a word: it cannot collide. With more it is
a polynomial in scrambled words modulo 2**64 with an odd base: two given n-grams collide with probability
2**-63 or so, two of a million different ones with less than 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from mm_envs.data.text import PAD
from mm_envs.random import fold

ORDERS = 4
# What stands where there is no n-gram: one number in answers, another one in references. No word is either.
NOTHING, ABSENT = 0, 1
EXACT_IDS = 2**16
_BASE = -7046029254386353131
_BYTES = 0x0101010101010101
_LONGEST_IN_BYTES = 248
_CHUNK_BYTES = 2**21
_DEVICE_CHUNK_BYTES = 2**28


def ngram_keys(words: Tensor, exact: bool = True, nothing: int = NOTHING) -> Tensor:
    """The n-grams of 1 to 4 words that begin at each place.

    Args:
        words: Token ids, (..., L) int64, words first and zeros behind them.
        exact: Whether all ids lie below 2**16.
        nothing: What stands where an n-gram would go beyond the last word.

    Returns:
        Keys, (..., 4, L) int64.

    Example:
        >>> ngram_keys(torch.tensor([3, 4, 0]))[:2].tolist()
        [[3, 4, 0], [196612, 0, 0]]
    """
    base = EXACT_IDS
    if not exact:
        words, base = fold(words, 0).masked_fill(words == PAD, 0), _BASE
    keys = [words]
    for n in range(1, ORDERS):
        following = pad(words[..., n:], (0, min(n, words.shape[-1])))
        keys.append(torch.where(following != 0, keys[-1] * base + following, 0))
    stacked = torch.stack(keys, -2)
    return stacked if nothing == 0 else stacked.masked_fill(stacked == 0, nothing)


@dataclass(frozen=True)
class ReferenceNgrams:
    """The n-grams of the references of n items: to be computed once an item, for any number of answers.

    Attributes:
        keys: (n, R, 4, M) int64.
        lengths: How many words each reference has, 0 where it is absent, (n, R) int64.
        exact: Whether all ids lie below 2**16.
    """

    keys: Tensor
    lengths: Tensor
    exact: bool = True

    @classmethod
    def of(cls, words: Tensor, exact: bool = True) -> ReferenceNgrams:
        """Those of references, (n, R, M) int64, words first and zeros behind them."""
        return cls(ngram_keys(words, exact, ABSENT), (words != PAD).sum(-1), exact)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, items: Tensor) -> ReferenceNgrams:
        keys, lengths = self.keys.index_select(0, items), self.lengths.index_select(0, items)
        return ReferenceNgrams(keys, lengths, self.exact)


def occurrences(keys: Tensor, among: Tensor) -> Tensor:
    """How often each n-gram of one sentence stands in others.

    Args:
        keys: (n, 4, L) int64.
        among: (n, R, 4, M) int64.

    Returns:
        (n, R, 4, L) int64.

    Example:
        >>> one = ngram_keys(torch.tensor([[3, 4, 3]]))
        >>> occurrences(one, one[:, None])[0, 0, 0].tolist()
        [2, 1, 2]
    """
    same = keys[:, None, :, :, None] == _eights(among, ABSENT)[:, :, :, None]
    return _counted(same)


def earlier(keys: Tensor) -> Tensor:
    """How often each n-gram stood in its own sentence before, (n, 4, L) int64 for keys of that shape.

    The sum of ``2 * earlier + 1`` over the places of an n-gram is the square of its count ``a``, and in
    ``min(a, b)`` of its places ``earlier`` is below ``b``: so counts are clipped without a table.

    Example:
        >>> earlier(ngram_keys(torch.tensor([[3, 4, 3]])))[0, 0].tolist()
        [0, 0, 1]
    """
    others = _eights(keys, NOTHING)
    before = _before(keys.shape[-1], others.shape[-1], keys.device)
    return _counted((keys[..., None] == others[..., None, :]) & before)


def _eights(keys: Tensor, filler: int) -> Tensor:
    """The keys, lengthened to a multiple of eight."""
    missing = -keys.shape[-1] % 8
    return pad(keys, (0, missing), value=filler) if missing else keys


def _counted(same: Tensor) -> Tensor:
    """How many are true in the last dimension, int64."""
    if same.shape[-1] > _LONGEST_IN_BYTES:
        return same.sum(-1)
    # Eight truth values at a time: a sum of bytes, and a product that adds up the eight bytes of the sum.
    eights = same.view(torch.int64)
    total = eights[..., 0]
    for i in range(1, eights.shape[-1]):
        total = total + eights[..., i]
    return (total * _BYTES >> 56) & 0xFF


@lru_cache(maxsize=64)
def _before(length: int, width: int, device: torch.device) -> Tensor:
    return torch.ones((length, width), dtype=torch.bool, device=device).tril(-1)


def by_rows(score: Callable[..., Tensor], row_bytes: int, *tensors: Tensor) -> Tensor:
    """The scores of all rows, computed for some at a time so that what lies between stays in the cache.

    Args:
        score: Takes as many rows of every tensor and gives one number a row.
        row_bytes: How much memory the largest intermediate tensor takes for one row.
        tensors: Of equal length.
    """
    n = len(tensors[0])
    budget = _CHUNK_BYTES if tensors[0].device.type == "cpu" else _DEVICE_CHUNK_BYTES
    rows = max(1, budget // max(1, row_bytes))
    if n <= rows:
        return score(*tensors)
    parts = [score(*(tensor[at : at + rows] for tensor in tensors)) for at in range(0, n, rows)]
    return torch.cat(parts)
