"""Sounds at another sampling rate, by the polyphase filter of scipy."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Samples of the slower rate on each side that a sample of the result depends on.
CROSSINGS = 32

# What is left, in decibel, of a tone that the new rate cannot hold.
_ATTENUATION = 80.0

# The width of the slope between passing and not, as a part of the Nyquist frequency (Kaiser, 1974).
SLOPE = (_ATTENUATION - 7.95) / (14.36 * CROSSINGS)

# Filters have 64 coefficients for each sample after which both rates meet again.
_MAX_STEP = 2**20


def resample(sound: Tensor, rate: int, to: int) -> Tensor:
    """A sound at another rate.

    Tones below ``1 - SLOPE`` (84 %) of the lower one of both Nyquist frequencies keep their amplitude within
    0.01 dB; of those above it at most -80 dB are left. Silence is assumed before and after the sound. The
    result is the same bit for bit however many sounds there are.

    Args:
        sound: Samples of shape (..., n), float32 or float64, on the CPU.
        rate: Samples a second.
        to: Samples a second of the result.

    Returns:
        Shape (..., ceil(n * to / rate)), of the same dtype. The sound itself if the rates are equal.

    Raises:
        ValueError: A rate is below 1, or has next to no common divisor with a very high other one.

    Example:
        >>> resample(torch.zeros(2, 441), rate=44100, to=8000).shape
        torch.Size([2, 80])
    """
    if min(rate, to) < 1:
        raise ValueError(f"rate={rate}, to={to}: both have to be at least 1 sample a second")
    if rate == to or not sound.shape[-1]:
        return sound
    up, down = to // gcd(rate, to), rate // gcd(rate, to)
    if max(up, down) > _MAX_STEP:
        raise ValueError(f"rate={rate}, to={to} meet after {max(up, down):,} samples: choose a rounder rate")
    from scipy.signal import resample_poly

    filtered = resample_poly(sound.double().numpy(), up, down, axis=-1, window=_low_pass(up, down))
    return torch.from_numpy(filtered).to(sound.dtype)


def reach(rate: int, to: int) -> int:
    """How many samples before and after its place a sample of the result depends on."""
    return ceil(CROSSINGS * max(1.0, rate / to)) + 1


@lru_cache(maxsize=8)
def _low_pass(up: int, down: int) -> NDArray[np.float64]:
    """A Kaiser-windowed sinc whose slope ends at the lower Nyquist frequency."""
    from scipy.signal import firwin, kaiser_beta

    widest = max(up, down)
    window = ("kaiser", kaiser_beta(_ATTENUATION))
    taps = firwin(2 * CROSSINGS * widest + 1, (1 - SLOPE / 2) / widest, window=window)
    # Every sample of the result is a mean with weights that add up to 1: constant sounds stay constant.
    phases = np.pad(taps, (0, -len(taps) % up)).reshape(-1, up)
    even: NDArray[np.float64] = (phases / (up * phases.sum(axis=0))).ravel()[: len(taps)]
    return even
