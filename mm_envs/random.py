"""Counter-based random streams: every draw is a hash of (seed, purpose, row or group, episode, counter).

No generator holds a state, so that no draw depends on the number of rows, on the order of calls or on other
rows, and any episode can be made again by itself. The hash is a chain of SplitMix64 steps (Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): each word is added, times an odd
constant, to the state, and the state is scrambled by Stafford's "mix 13". Only integer arithmetic and table
look-ups are used, hence the same bits on every device and at every batch size; draws that are not uniform
come from tables of quantiles that are computed once.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
_QUANTILE_BITS = 16


def _mix(state: Tensor) -> Tensor:
    """Stafford's mix 13 on int64 tensors; shifts are logical."""
    state = (state ^ ((state >> 30) & 0x3FFFFFFFF)) * _MIX_1
    state = (state ^ ((state >> 27) & 0x1FFFFFFFFF)) * _MIX_2
    return state ^ ((state >> 31) & 0x1FFFFFFFF)


@lru_cache(maxsize=1024)
def purpose(name: str) -> int:
    """The number of a named purpose: the first 63 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def signed(word: int) -> int:
    """A whole number of any size as the signed 64-bit number with the same low bits."""
    return (word + 2**63) % 2**64 - 2**63


def fold(state: Tensor, *words: Tensor | int) -> Tensor:
    """The hash of a state and further words, one after the other.

    Args:
        state: Hashes so far, int64 of any shape.
        words: Numbers, or int64 tensors that broadcast with the state.

    Returns:
        Hashes, int64 of the broadcast shape: all 64 bits are random.

    Example:
        >>> start = torch.tensor([1, 2])
        >>> bool((fold(start, 5, 6) == fold(fold(start, 5), 6)).all())
        True
    """
    for word in words:
        if isinstance(word, int):
            state = _mix(state + signed((word + 1) * _GOLDEN))
        else:
            state = _mix(torch.add(state + _GOLDEN, word, alpha=_GOLDEN))
    return state


def stream(seed: Tensor | int, name: str, device: torch.device | str | None = None) -> Tensor:
    """The stream of a seed for a purpose: a state to be folded with row, episode and counter.

    Args:
        seed: A number of any size, or int64 tensor of seeds.
        name: The purpose; different purposes share nothing.
        device: Where the state lives if the seed is a number.
    """
    if isinstance(seed, int):
        seed = torch.tensor(signed(seed), dtype=torch.int64, device=device)
    return fold(seed, purpose(name))


def uniform(bits: Tensor) -> Tensor:
    """Numbers in [0, 1) with 24 random bits, float32, from the high bits of hashes."""
    return ((bits >> 40) & 0xFFFFFF).to(torch.float32) * 2.0**-24


def integers(bits: Tensor, high: Tensor | int) -> Tensor:
    """Whole numbers in [0, high), int64; the bias is below high / 2**63.

    Example:
        >>> values = integers(fold(torch.arange(1000), 7), 10)
        >>> values.unique().numel()
        10
    """
    return (bits & 0x7FFFFFFFFFFFFFFF) % high


@lru_cache(maxsize=16)
def _quantiles(name: str, device: torch.device) -> Tensor:
    """Quantiles at the centres of 2**16 equal slices, float32."""
    p = (np.arange(2**_QUANTILE_BITS) + 0.5) / 2**_QUANTILE_BITS
    if name == "gumbel":
        values = -np.log(-np.log(p))
    elif name == "logistic":
        values = np.log(p) - np.log1p(-p)
    else:
        values = torch.special.ndtri(torch.from_numpy(p)).numpy()
    return torch.from_numpy(values.astype(np.float32)).to(device)


def _look_up(bits: Tensor, name: str) -> Tensor:
    return _quantiles(name, bits.device)[bits & (2**_QUANTILE_BITS - 1)]


def gumbel(bits: Tensor) -> Tensor:
    """Standard Gumbel draws (mean 0.5772, variance pi^2/6), float32, from the low 16 bits of hashes."""
    return _look_up(bits, "gumbel")


def logistic(bits: Tensor) -> Tensor:
    """Standard logistic draws (mean 0, variance pi^2/3), float32, from the low 16 bits of hashes."""
    return _look_up(bits, "logistic")


def normal(bits: Tensor) -> Tensor:
    """Standard normal draws, float32, from the low 16 bits of hashes (so none lies beyond 4.4)."""
    return _look_up(bits, "normal")
