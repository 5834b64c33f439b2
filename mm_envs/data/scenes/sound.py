"""Sounds of scenes: every object is a tone, whose pitch says its colour and whose timbre says its shape.

The tones follow one another in an order that is chance, so that the order says nothing about positions. All
tables are computed once on the CPU and rounded to 16 bits; what is done in batches is integer arithmetic,
look-ups, and single products and sums of floats, hence the same samples at every batch size.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from math import exp, pi, sin

import torch
from torch import Tensor

from mm_envs.data.scenes.layout import SHAPES, SceneConfig, SceneGraph
from mm_envs.random import fold, integers, purpose, stream, uniform

SAMPLE_RATE = 8000
SAMPLES = 4096

PITCHES = (220.0, 261.63, 329.63, 440.0, 523.25, 659.25, 880.0, 1174.66)
"""The pitch of each colour in hertz: notes of the pentatonic scale of A minor."""

HARMONICS = ((1.0, 0.0, 0.0), (1.0, 0.0, 0.7), (1.0, 0.7, 0.0), (1.0, 0.6, 0.6))
"""The strength of the first three harmonics of each shape; all lie below half of the sample rate."""

_CHUNK = 64  # sounds whose intermediate results stay in the cache of a CPU core
_WAVE_BITS, _PHASE_BITS = 12, 32  # samples of one period; resolution of the phase accumulator
_STARTS = 1024  # how many samples later than the beginning of the table a tone may start
_ATTACK = 80  # samples until a tone is loudest
_NOISE_BITS = 16
_QUIETEST = 0.5


def synthesise(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> Tensor:
    """The sounds of some scenes.

    The sound is cut into K slots of equal length, one for each object that a scene may hold; slots without an
    object hold noise only.

    Args:
        graph: n scenes.
        config: Their configuration; ``noise`` is the largest deviation of the noise.
        hashes: One hash for each scene, int64 of shape (n,), that decides order, phase, volume and noise.

    Returns:
        Samples at 8,000 per second, float32 of shape (n, 4096), in [-1, 1].

    Example:
        >>> from mm_envs.data.scenes.layout import decode
        >>> synthesise(decode(SceneConfig(), torch.tensor([0])), SceneConfig(), torch.tensor([5])).shape
        torch.Size([1, 4096])
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
    volume = _QUIETEST + uniform(fold(state, 0, order)) * (0.9 - _QUIETEST)
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
    """Which object sounds in each slot: random permutations, int64 of shape (n, slots)."""
    orders = _orders(slots, hashes.device)
    return orders[integers(fold(hashes, purpose("sound order")), len(orders))]


@lru_cache(maxsize=16)
def _orders(slots: int, device: torch.device) -> Tensor:
    return torch.tensor(list(permutations(range(slots)))).to(device)


def _rounded(values: Tensor) -> Tensor:
    """To 16 bits, so that the last digits of the machine's sines cannot be heard."""
    return ((values * 2**15).round() / 2**15).to(torch.float32)


def _wave(harmonics: tuple[float, ...]) -> Tensor:
    """One period of a timbre with peak 1, float64 of shape (2**_WAVE_BITS,)."""
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
    """All tones one after the other, by shape, then by pitch, float32, long enough for any start."""
    ticks = torch.arange(SAMPLES + _STARTS)
    tones = []
    for shape in range(len(SHAPES)):
        wave = _rounded(_wave(HARMONICS[shape]))
        for pitch in PITCHES:
            step = round(pitch / SAMPLE_RATE * 2**_PHASE_BITS)
            phase = (ticks * step) % 2**_PHASE_BITS
            tones.append(wave[phase >> (_PHASE_BITS - _WAVE_BITS)])
    return torch.cat(tones).to(device)


@lru_cache(maxsize=32)
def _envelope(length: int, device: torch.device) -> Tensor:
    """The loudness of a tone over its slot: a linear attack, then an exponential decay to silence."""
    last = length - 1
    values = [min(t / _ATTACK, 1.0, (last - t) / _ATTACK) * exp(-1.5 * t / length) for t in range(length)]
    return _rounded(torch.tensor(values, dtype=torch.float64)).to(device)


@lru_cache(maxsize=8)
def _noise(device: torch.device) -> Tensor:
    """White noise in [-1, 1), of which every sound hears its own section."""
    state = fold(stream(0, "sound noise"), torch.arange(2**_NOISE_BITS))
    return (uniform(state) * 2 - 1).to(device)
