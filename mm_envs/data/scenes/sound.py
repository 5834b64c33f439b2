"""Sounds of scenes: every object is a tone; its pitch encodes the colour and its timbre the shape.

The tones are in random order, so that the order is independent of positions. All tables are computed once on
the CPU and rounded to 16 bits; batches use integer arithmetic, look-ups, and single products and sums of
floats, hence the same samples at every batch size.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from math import exp, pi, sin

import torch
from torch import Tensor

from mm_envs.data.scenes.layout import SceneConfig, SceneGraph
from mm_envs.random import fold, integers, purpose, stream, uniform

SAMPLE_RATE = 8000
SAMPLES = 4096

PITCHES = (220.0, 261.63, 329.63, 440.0, 523.25, 659.25, 880.0, 1174.66)
"""The pitch of each colour in hertz: notes of the pentatonic scale of A minor."""

HARMONICS = ((1.0, 0.0, 0.0), (1.0, 0.0, 0.7), (1.0, 0.7, 0.0), (1.0, 0.6, 0.6))
"""The strength of the first three harmonics of each shape; all lie below half of the sample rate."""

_CHUNK = 64  # sounds whose intermediate results stay in the cache of a CPU core
_WAVE_BITS, _PHASE_BITS = 12, 32  # samples of one period; resolution of the phase accumulator
_STARTS = 1024  # number of samples of the table that a tone can start at
_ATTACK = 80  # samples until the maximum of a tone
_NOISE_BITS = 16
_MIN_VOLUME = 0.5


def synthesise(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> Tensor:
    """Returns the sounds of some scenes: float32 of shape (n, 4096) in [-1, 1], 8,000 samples a second.

    A sound has K slots of equal length, one for each possible object of a scene; slots without an object
    contain only noise.

    Args:
        graph: n scenes.
        config: Their configuration; ``noise`` is the largest deviation of the noise.
        hashes: One hash for each scene, int64 of shape (n,), for order, phase, volume and noise.
    """
    sounds = torch.zeros((len(graph), SAMPLES), device=hashes.device)
    chunk = _CHUNK if hashes.device.type == "cpu" else max(len(graph), 1)
    for start in range(0, len(graph), chunk):
        rows = slice(start, start + chunk)
        _play(graph.select(rows), config, hashes[rows], sounds[rows])
    return sounds


def _play(graph: SceneGraph, config: SceneConfig, hashes: Tensor, out: Tensor) -> None:
    n, slots = graph.present.shape
    length = SAMPLES // slots
    state = fold(hashes, purpose("sound"))[:, None]
    order = slot_order(slots, hashes)
    tone = (graph.shape * len(PITCHES) + graph.colour).gather(1, order)
    volume = _MIN_VOLUME + uniform(fold(state, 0, order)) * (0.9 - _MIN_VOLUME)
    volume = torch.where(graph.present.gather(1, order), volume, 0.0)
    start = tone.clamp(min=0) * (SAMPLES + _STARTS) + integers(fold(state, 1, order), _STARTS)
    index = start[:, :, None] + torch.arange(length, device=hashes.device)
    played = _tones(hashes.device)[index].mul_(_envelope(length, hashes.device)).mul_(volume[:, :, None])
    out[:, : slots * length] = played.view(n, slots * length)
    if config.noise:
        begin = integers(fold(state, 2), 2**_NOISE_BITS - SAMPLES)
        hiss = _noise(hashes.device)[begin + torch.arange(SAMPLES, device=hashes.device)]
        out.add_(hiss.mul_(config.noise)).clamp_(-1.0, 1.0)


def slot_order(slots: int, hashes: Tensor) -> Tensor:
    """Returns the object of each slot: random permutations, int64 of shape (n, slots)."""
    orders = _orders(slots, hashes.device)
    return orders[integers(fold(hashes, purpose("sound order")), len(orders))]


@lru_cache(maxsize=16)
def _orders(slots: int, device: torch.device) -> Tensor:
    return torch.tensor(list(permutations(range(slots)))).to(device)


def _rounded(values: Tensor) -> Tensor:
    """Rounds to 16 bits, since sines differ between machines in the last digits."""
    return ((values * 2**15).round() / 2**15).to(torch.float32)


def _wave(harmonics: tuple[float, ...]) -> Tensor:
    """Returns one period of a timbre with peak 1, float64 of shape (2**_WAVE_BITS,)."""
    size = 2**_WAVE_BITS
    wave = torch.tensor(
        [
            sum(strength * sin(2 * pi * (k + 1) * i / size) for k, strength in enumerate(harmonics))
            for i in range(size)
        ],
        dtype=torch.float64,
    )
    return wave / wave.abs().max()


@lru_cache(maxsize=8)
def _tones(device: torch.device) -> Tensor:
    """Returns all tones in a row, by shape, then by pitch, float32, long enough for any start."""
    ticks = torch.arange(SAMPLES + _STARTS)
    tones = []
    for harmonics in HARMONICS:
        wave = _rounded(_wave(harmonics))
        for pitch in PITCHES:
            step = round(pitch / SAMPLE_RATE * 2**_PHASE_BITS)
            phase = (ticks * step) % 2**_PHASE_BITS
            tones.append(wave[phase >> (_PHASE_BITS - _WAVE_BITS)])
    return torch.cat(tones).to(device)


@lru_cache(maxsize=32)
def _envelope(length: int, device: torch.device) -> Tensor:
    """Returns the loudness of a tone over its slot: a linear attack, then an exponential decay to silence."""
    last = length - 1
    values = [min(t / _ATTACK, 1.0, (last - t) / _ATTACK) * exp(-1.5 * t / length) for t in range(length)]
    return _rounded(torch.tensor(values, dtype=torch.float64)).to(device)


@lru_cache(maxsize=8)
def _noise(device: torch.device) -> Tensor:
    """Returns white noise in [-1, 1); every sound uses its own section."""
    state = fold(stream(0, "sound noise"), torch.arange(2**_NOISE_BITS))
    return (uniform(state) * 2 - 1).to(device)
