"""Sounds at another sampling rate: band-limited interpolation with a windowed sinc.

Julius O. Smith, "Digital Audio Resampling Home Page" (CCRMA, 2002): the sound is the sum of its samples times
a sinc; where fewer samples are left, the sinc is widened, so that nothing above the new Nyquist frequency is
left to be folded back. The window is Kaiser's ("Nonrecursive digital filter design using the I0-sinh window
function", 1974), which trades the steepness of the filter against what it lets through.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import torch
from torch import Tensor

# Zero crossings of the sinc on each side of its middle.
CROSSINGS = 32

# What is left, in decibel, of a tone that the new rate cannot hold.
_ATTENUATION = 80.0
_BETA = 0.1102 * (_ATTENUATION - 8.7)  # Kaiser's parameter for this attenuation

# The width of the slope between passing and not, as a part of the Nyquist frequency.
SLOPE = (_ATTENUATION - 7.95) / (14.36 * CROSSINGS)

# Samples of the result that one product of matrices gives, and how many such rows one product takes.
_GROUP, _ROWS = 64, 4096

# A sound may be given this many times fewer samples.
_MOST_DOWN = 1024

# Samples are multiples of 2^-24 and coefficients multiples of 2^-26. So all products and sums of them are
# exact in double precision: the result depends neither on the order of summation nor on the threads.
_SAMPLE, _COEFFICIENT = 2.0**24, 2.0**26


def resample(sound: Tensor, rate: int, to: int) -> Tensor:
    """A sound at another rate.

    Tones below ``1 - SLOPE`` (84 %) of the lower one of both Nyquist frequencies keep their amplitude within
    0.01 dB; of those above it at most -80 dB are left. Silence is assumed before and after the sound. The
    result is the same bit for bit however many sounds and threads there are, as long as samples lie in
    [-1, 1].

    Args:
        sound: Samples of shape (..., n), float32 or float64, read to 24 bits behind the point.
        rate: Samples a second.
        to: Samples a second of the result.

    Returns:
        Shape (..., ceil(n * to / rate)), of the same dtype. The sound itself if the rates are equal.

    Raises:
        ValueError: A rate is below 1, or ``to`` is more than 1,024 times lower.

    Example:
        >>> resample(torch.zeros(2, 441), rate=44100, to=8000).shape
        torch.Size([2, 80])
    """
    if min(rate, to) < 1:
        raise ValueError(f"rate={rate}, to={to}: both have to be at least 1 sample a second")
    if rate > _MOST_DOWN * to:
        raise ValueError(f"to={to} is more than {_MOST_DOWN:,} times lower than rate={rate}: go in two steps")
    if rate == to or not sound.shape[-1]:
        return sound
    length = -(-sound.shape[-1] * to // rate)
    up, down = _steps(rate, to)
    rows = -(-length // up)
    padded = torch.nn.functional.pad(
        (sound.double() * _SAMPLE).round() / _SAMPLE, (reach(rate, to) - 1, rows * down + 3 * reach(rate, to))
    )
    result = torch.zeros((*sound.shape[:-1], rows, up), dtype=torch.float64, device=sound.device)
    for first in range(0, min(up, length), _GROUP):
        filters = _filters(up, down, first).to(sound.device)
        windows = padded[..., first * down // up :].unfold(-1, len(filters), down)
        for row in range(0, rows, _ROWS):
            part = slice(row, min(row + _ROWS, rows))
            result[..., part, first : first + _GROUP] = windows[..., part, :] @ filters
    return result.flatten(-2)[..., :length].to(sound.dtype)


def reach(rate: int, to: int) -> int:
    """How many samples before and after its place a sample of the result depends on.

    Example:
        >>> reach(8000, 16000), reach(48000, 16000)
        (33, 97)
    """
    return ceil(CROSSINGS * max(1.0, rate / to)) + 1


def _steps(rate: int, to: int) -> tuple[int, int]:
    """Samples of the result and of the sound after which the filters repeat; at least a group of them."""
    up, down = to // gcd(rate, to), rate // gcd(rate, to)
    times = -(-_GROUP // up)
    return up * times, down * times


@lru_cache(maxsize=8)
def _filters(up: int, down: int, first: int) -> Tensor:
    """The filters of a group of neighbouring samples of the result.

    Args:
        up: Samples of the result in as long a time as
        down: samples of the sound.
        first: The first sample of the group.

    Returns:
        Shape (taps, group), float64: entry (k, i) multiplies the sample ``first * down // up + k - reach
        + 1`` of the sound. Each filter adds up to 1, up to rounding: constant sounds stay what they are.
    """
    group = torch.arange(first, min(first + _GROUP, up))
    begin, half = first * down // up, reach(down, up)
    places = (group * down).double() / up - begin
    taps = torch.arange(int(places[-1]) + 2 * half, dtype=torch.float64) - half + 1
    filters = _windowed_sinc((taps[:, None] - places) / max(1.0, down / up))
    return (filters / filters.sum(0) * _COEFFICIENT).round() / _COEFFICIENT


def _windowed_sinc(place: Tensor) -> Tensor:
    """The low pass at places in samples of the lower rate; its slope ends at the Nyquist frequency."""
    inside = (1 - (place / CROSSINGS) ** 2).clamp(min=0).sqrt()
    # Kaiser's window ends in a step: rounding must not decide on which side of it a sample lies.
    window = torch.special.i0(_BETA * inside) * (place.abs() < CROSSINGS * (1 - 1e-9))
    low_pass: Tensor = torch.sinc((1 - SLOPE / 2) * place) * window
    return low_pass
