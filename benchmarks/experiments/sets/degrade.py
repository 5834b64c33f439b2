"""Pictures partly covered, sounds at another pitch, through an equaliser and in noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]
_EQUALISER_POINTS = 6


def covered(picture: NDArray[np.uint8], width: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A picture with one black band right across it, upright or level, at a random position.

    A band that would hide more than two thirds of what is drawn is drawn again: behind an upright band
    another 1 would look the same.

    Args:
        picture: (height, width) uint8, light on black.
        width: Of the band, in pixels; less than half of a side.
        generator: Where position and direction are drawn from.

    Example:
        >>> white = np.full((28, 28), 255, np.uint8)
        >>> int((covered(white, 7, np.random.default_rng(0)) == 0).sum()) == 7 * 28
        True
    """
    while True:
        upright = bool(generator.random() < 0.5)
        hidden: NDArray[np.uint8] = picture.T.copy() if upright else picture.copy()
        start = int(generator.integers(0, len(hidden) - width + 1))
        hidden[start : start + width] = 0
        if 3 * int(hidden.sum()) >= int(picture.sum()):
            return hidden.T if upright else hidden


def faster(sound: Sound, factor: float) -> Sound:
    """A sound played at ``factor`` times its speed, hence higher by as much: another voice, roughly.

    Example:
        >>> faster(np.arange(9, dtype=np.float32), 2.0).tolist()
        [0.0, 2.0, 4.0, 6.0]
    """
    times = np.arange(0, len(sound) - 1, factor)
    played: Sound = np.interp(times, np.arange(len(sound)), sound).astype(np.float32)
    return played


def equalised(sound: Sound, decibels: float, generator: np.random.Generator) -> Sound:
    """A sound through a random equaliser: another microphone, or another voice of equal pitch, roughly.

    The gain is drawn at six frequencies from 0 to half the sample rate, and linear in decibels between them.

    Args:
        sound: Samples, at least one.
        decibels: The largest gain, and the largest loss.
        generator: Where the gains are drawn from.

    Example:
        >>> tone = np.sin(np.arange(400, dtype=np.float32))
        >>> bool(np.allclose(equalised(tone, 0.0, np.random.default_rng(0)), tone, atol=1e-5))
        True
    """
    spectrum = np.fft.rfft(sound)
    points = np.linspace(0, len(spectrum) - 1, _EQUALISER_POINTS)
    gains = generator.uniform(-decibels, decibels, _EQUALISER_POINTS)
    curve = 10 ** (np.interp(np.arange(len(spectrum)), points, gains) / 20)
    heard: Sound = np.fft.irfft(spectrum * curve, len(sound)).astype(np.float32)
    return heard


def in_noise(sound: Sound, samples: int, decibels: float, generator: np.random.Generator) -> Sound:
    """A sound at a random position of a stretch of white noise, scaled so that the loudest sample is 1.

    Args:
        sound: Samples; what is longer than the stretch is cut.
        samples: The length of the stretch.
        decibels: Power of the sound over the power of the noise while it sounds.
        generator: Where position and noise are drawn from.

    Example:
        >>> mixed = in_noise(np.ones(100, np.float32), 400, 0.0, np.random.default_rng(0))
        >>> mixed.shape, float(abs(mixed).max())
        ((400,), 1.0)
    """
    sound = sound[:samples]
    start = int(generator.integers(0, samples - len(sound) + 1))
    loudness = float(np.sqrt(np.mean(np.square(sound)))) or 1.0
    mixed: Sound = generator.standard_normal(samples).astype(np.float32) * np.float32(10 ** (-decibels / 20))
    mixed[start : start + len(sound)] += sound / np.float32(loudness)
    mixed /= np.float32(np.abs(mixed).max())
    return mixed
