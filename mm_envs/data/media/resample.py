"""Sounds at another sampling rate: band-limited interpolation with a windowed sinc.

Julius O. Smith, "Digital Audio Resampling Home Page" (CCRMA, 2002): the sound is the sum of its samples times
a sinc; where fewer samples are left, the sinc is widened, so that nothing above the new Nyquist frequency is
left to be folded back. The window is Kaiser's (J. F. Kaiser, 1974), which trades the steepness of the filter
against what passes it where nothing should.
"""

from __future__ import annotations

from math import gcd

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Zero crossings of the sinc on each side of its middle.
CROSSINGS = 32

# What is left, in decibel, of a tone that the new rate cannot hold.
_ATTENUATION = 80.0

# The width of the slope between passing and not, as a part of the Nyquist frequency (Kaiser 1974, eq. 9).
SLOPE = (_ATTENUATION - 7.95) / (14.36 * CROSSINGS)

_BETA = 0.1102 * (_ATTENUATION - 8.7)  # Kaiser's window for this attenuation

# Coefficients of one conversion: rates without a common divisor need one filter for each sample.
_MAX_COEFFICIENTS = 2**26


def resample(sound: Tensor, rate: int, to: int) -> Tensor:
    """A sound at another rate.

    Tones below ``1 - SLOPE`` (84 %) of the lower one of both Nyquist frequencies keep their amplitude within
    0.01 dB; of those above it at most -80 dB are left. Silence is assumed before and after the sound. Sums are
    taken in double precision and in one order, so that the result does not depend on threads or on the batch.

    Args:
        sound: Samples of shape (..., n), float32 or float64.
        rate: Samples a second.
        to: Samples a second of the result.

    Returns:
        Shape (..., ceil(n * to / rate)), of the same dtype. The sound itself if the rates are equal.

    Raises:
        ValueError: A rate is below 1, or both are too large and too unlike to be converted.

    Example:
        >>> resample(torch.zeros(2, 441), rate=44100, to=8000).shape
        torch.Size([2, 80])
    """
    if min(rate, to) < 1:
        raise ValueError(f"rate={rate}, to={to}: both have to be at least 1 sample a second")
    if rate == to:
        return sound
    up, down = to // gcd(rate, to), rate // gcd(rate, to)
    length = -(-sound.shape[-1] * up // down)
    table = coefficients(up, down, min(up, length))
    number = torch.arange(length)
    # Sample i of the result lies at i * down / up; its filter begins this many samples before.
    taps = table.shape[1]
    begin = number * down // up
    padded = torch.nn.functional.pad(sound.double(), (taps // 2 - 1, taps // 2 + down // up + 1))
    result = torch.zeros((*sound.shape[:-1], length), dtype=torch.float64)
    for tap in range(taps):
        weights = table[:, tap].repeat(-(-length // len(table)))[:length]
        result += padded[..., begin + tap] * weights
    return result.to(sound.dtype)


def coefficients(up: int, down: int, phases: int) -> Tensor:
    """The filters of a conversion by ``up / down``, one for each place that a sample can have between two.

    Args:
        up: Numerator of the ratio of the rates, in lowest terms.
        down: Denominator.
        phases: How many filters are needed, at most ``up``; filter i is for all samples i modulo ``up``.

    Returns:
        Shape (phases, taps), float64: entry (i, k) multiplies the sample k - taps / 2 + 1 places after the one
        at or before the place i * down / up. Each filter adds up to 1: constant sounds stay what they are.

    Raises:
        ValueError: There would be too many.
    """
    widened = max(1.0, down / up)
    half = int(CROSSINGS * widened) + 1
    if phases * 2 * half > _MAX_COEFFICIENTS:
        raise ValueError(
            f"rates in the ratio {down} : {up} need too many filters: choose a rate that has more divisors in"
            " common, as 8000, 16000, 22050 or 44100"
        )
    between = (np.arange(phases) * down % up) / up
    distance = np.arange(1 - half, half + 1) - between[:, None]
    filters = _windowed_sinc(distance / widened)
    return torch.from_numpy(filters / filters.sum(axis=1, keepdims=True))


def _windowed_sinc(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """The low pass at some places, in samples of the lower rate; half of the slope lies below its Nyquist."""
    cutoff = 1 - SLOPE / 2
    inside = np.clip(1 - (place / CROSSINGS) ** 2, 0, None)
    window = np.where(np.abs(place) < CROSSINGS, np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA), 0)
    return np.asarray(np.sinc(cutoff * place) * window)
