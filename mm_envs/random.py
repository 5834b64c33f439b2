"""Counter-based random streams: every draw is a hash of (seed, purpose, row or group, episode, counter).

There is no generator state, so no draw depends on the number of rows, on the order of calls or on other rows.
The hash is a chain of SplitMix64 steps (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014): each word is added, times an odd constant, to the state, which is scrambled by
Stafford's "mix 13". Only integer arithmetic and table look-ups are used, hence the same bits on every device
and at every batch size; other distributions than the uniform one come from tables of quantiles.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mm_envs.arrays import A, Array, add_scaled, cast, on_host, take

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
_WEIGHT_SEED = -3335678366873096957  # 0xD1B54A32D192ED03
_WEIGHT_ROW = -6068174398545956587  # 0xABC98388FB8C7115
_QUANTILE_BITS = 16
_SHORT = 4096


def _mix(state: Array) -> Array:
    """Stafford's mix 13 of int64; shifts are logical."""
    if on_host(state) and state.numel() < _SHORT:
        # The same operations through NumPy: on short tensors they cost a third.
        return torch.from_numpy(_mixed(np.atleast_1d(state.numpy()))).view(state.shape)
    return _mixed(state)


def _mixed(state: Array) -> Array:
    for shift, kept, factor in ((30, 0x3FFFFFFFF, _MIX_1), (27, 0x1FFFFFFFFF, _MIX_2)):
        # In place: a temporary of its own for every operation doubles the time of short tensors.
        shifted = state >> shift
        shifted &= kept
        shifted ^= state
        shifted *= factor
        state = shifted
    shifted = state >> 31
    shifted &= 0x1FFFFFFFF
    shifted ^= state
    return shifted


@lru_cache(maxsize=1024)
def purpose(name: str) -> int:
    """The number of a named purpose: the first 63 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def signed(word: int) -> int:
    """A whole number of any size as the signed 64-bit number with the same low bits."""
    return (word + 2**63) % 2**64 - 2**63


def fold(state: A, *words: Array | int) -> A:
    """The hash of a state and further words, one after the other.

    Args:
        state: Hashes so far, int64 of any shape, a tensor or a NumPy array of at least one dimension.
        words: Numbers, or int64 arrays of the same library that broadcast with the state.

    Example:
        >>> start = torch.tensor([1, 2])
        >>> bool((fold(start, 5, 6) == fold(fold(start, 5), 6)).all())
        True
    """
    for word in words:
        if isinstance(word, int):
            state = _mix(state + signed((word + 1) * _GOLDEN))
        else:
            state = _mix(add_scaled(state + _GOLDEN, word, _GOLDEN))
    return state


def key_hashes(key: A, word: int) -> A:
    """One hash for each key of an episode, (n,) int64, cheaper than folding its three numbers one by one.

    The numbers are weighted by odd constants and scrambled together, as SplitMix64 does with a single
    counter.

    Args:
        key: Seed, row and episode, (n, 3) int64.
        word: The purpose, 63 bits: different words give independent hashes.
    """
    state = add_scaled(key[:, 0] * _WEIGHT_SEED + word, key[:, 1], _WEIGHT_ROW)
    hashes: A = _mix(add_scaled(state, key[:, 2], _GOLDEN))
    return hashes


def stream(seed: Tensor | int, name: str, device: torch.device | str | None = None) -> Tensor:
    """The stream of a seed (a number of any size, or int64 tensor) for a purpose, to be folded with counters.

    Streams of different purposes are independent; ``device`` is that of the state if the seed is a number.
    """
    if isinstance(seed, int):
        seed = torch.tensor(signed(seed), dtype=torch.int64, device=device)
    state: Tensor = fold(seed, purpose(name))
    return state


def uniform(hashes: A) -> A:
    """Float32 numbers in [0, 1) with 24 random bits, from the high bits of hashes."""
    numbers: A = cast((hashes >> 40) & 0xFFFFFF, torch.float32) * 2.0**-24
    return numbers


def chance(hashes: A, probability: float) -> A:
    """True with a probability (in steps of 2**-24), bool: where ``uniform`` of these hashes is below it."""
    happens: A = ((hashes >> 40) & 0xFFFFFF) < round(probability * 2**24)
    return happens


def integers(hashes: A, high: Array | int) -> A:
    """Whole numbers in [0, high), int64, with a bias below high / 2**63."""
    numbers: A = (hashes & 0x7FFFFFFFFFFFFFFF) % high
    return numbers


@lru_cache(maxsize=16)
def _quantiles(name: str, device: torch.device | None) -> Array:
    """Quantiles at the centres of 2**16 equal slices, float32; without a device as a NumPy array."""
    p = (np.arange(2**_QUANTILE_BITS) + 0.5) / 2**_QUANTILE_BITS
    if name == "gumbel":
        values = -np.log(-np.log(p))
    elif name == "logistic":
        values = np.log(p) - np.log1p(-p)
    else:
        values = torch.special.ndtri(torch.from_numpy(p)).numpy()
    values = values.astype(np.float32)
    return values if device is None else torch.from_numpy(values).to(device)


def _look_up(hashes: A, name: str) -> A:
    device = hashes.device if isinstance(hashes, Tensor) else None
    draws: A = take(_quantiles(name, device), hashes & (2**_QUANTILE_BITS - 1))
    return draws


def gumbel(hashes: A) -> A:
    """Standard Gumbel draws (mean 0.5772, variance pi^2/6), float32, from the low 16 bits of hashes."""
    return _look_up(hashes, "gumbel")


def logistic(hashes: A) -> A:
    """Standard logistic draws (mean 0, variance pi^2/3), float32, from the low 16 bits of hashes."""
    return _look_up(hashes, "logistic")


def normal(hashes: A) -> A:
    """Standard normal draws, float32, from the low 16 bits of hashes (so at most 4.4 in size)."""
    return _look_up(hashes, "normal")


def pick(allowed: Tensor, hashes: Tensor) -> tuple[Tensor, Tensor]:
    """One allowed entry (n, L) of each row by hash (n,): (n,) int64, and whether there is any, (n,) bool.

    Example:
        >>> pick(torch.tensor([[False, True], [False, False]]), torch.tensor([1, 2]))
        (tensor([1, 0]), tensor([ True, False]))
    """
    index = torch.arange(allowed.shape[1], device=allowed.device)
    # 62 bits: a draw between equal hashes does not happen.
    luck = (fold(hashes[:, None], index) >> 2).masked_fill(~allowed, torch.iinfo(torch.int64).min)
    return luck.argmax(1), allowed.any(1)
