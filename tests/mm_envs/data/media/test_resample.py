"""Resampling against closed forms, and by its properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_envs.data.media.resample import SLOPE, resample

PAIRS = [(8000, 16000), (16000, 8000), (44100, 16000), (22050, 16000), (48000, 44100), (44100, 8000)]
RATES = st.sampled_from([1, 7, 1000, 8000, 11025, 16000, 22050, 44100, 48000, 16001])


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def tone(frequency: float, rate: int, samples: int) -> torch.Tensor:
    return torch.sin(2 * torch.pi * frequency / rate * torch.arange(samples, dtype=torch.float64))


def decibel(sound: torch.Tensor) -> float:
    """The level of the middle of a sound against a full sine."""
    middle = sound[len(sound) // 4 : 3 * len(sound) // 4]
    return float(10 * torch.log10(2 * middle.square().mean() + 1e-30))


@pytest.mark.parametrize(("rate", "to"), PAIRS)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 1 - SLOPE])
def test_a_tone_below_the_slope_is_the_same_tone(rate: int, to: int, part: float) -> None:
    frequency, samples = part * min(rate, to) / 2, rate // 4
    found = resample(tone(frequency, rate, samples), rate, to)
    there = tone(frequency, to, len(found))
    middle = slice(len(found) // 4, 3 * len(found) // 4)
    assert abs(decibel(found)) < 0.1
    assert float((found - there)[middle].abs().max()) < 2e-3  # its phase, too


@pytest.mark.parametrize(("rate", "to"), [pair for pair in PAIRS if pair[0] > pair[1]])
@pytest.mark.parametrize("part", [1.01, 1.2, 0.99])
def test_a_tone_that_the_new_rate_cannot_hold_is_gone(rate: int, to: int, part: float) -> None:
    low, high = to / 2, rate / 2
    frequency = high * part if part < 1 else min(low * part, 0.999 * high)
    assert decibel(resample(tone(frequency, rate, rate // 4), rate, to)) < -60


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 300), rate=RATES, to=RATES)
def test_its_length_is_that_of_the_same_time(samples: int, rate: int, to: int) -> None:
    if rate <= 1024 * to and samples * to // rate < 10**6:
        assert len(resample(torch.zeros(samples), rate, to)) == -(-samples * to // rate)


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([8000, 16000, 22050]),
    to=RATES.filter(lambda rate: rate >= 1000),
    seed=st.integers(0, 99),
)
def test_it_is_linear_and_constant_sounds_stay_constant(rate: int, to: int, seed: int) -> None:
    one, other = noise(2, 2000, seed=seed).double() / 4
    both = resample(one + 2 * other, rate, to)
    assert torch.allclose(both, resample(one, rate, to) + 2 * resample(other, rate, to), atol=1e-6)
    constant = resample(torch.full((2000,), 0.5), rate, to)
    middle = constant[len(constant) // 2 : len(constant) // 2 + 2]
    assert torch.allclose(middle, torch.full_like(middle, 0.5), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(pair=st.sampled_from(PAIRS), shift=st.integers(1, 5))
def test_a_later_sound_is_the_same_sound_later(pair: tuple[int, int], shift: int) -> None:
    rate, to = pair
    common = int(np.gcd(rate, to))
    sound = noise(1500)
    later = torch.nn.functional.pad(sound, (shift * rate // common, 0))
    assert torch.equal(resample(later, rate, to)[shift * to // common :], resample(sound, rate, to))


@pytest.mark.parametrize(("rate", "to"), PAIRS)
def test_neither_the_batch_nor_threads_change_a_bit(rate: int, to: int) -> None:
    sounds, threads = noise(5, 4000), torch.get_num_threads()
    together = resample(sounds, rate, to)
    try:
        torch.set_num_threads(1)
        apart = torch.stack([resample(sound, rate, to) for sound in sounds])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together, apart)


def test_equal_rates_and_no_samples_change_nothing() -> None:
    sound = noise(7)
    assert torch.equal(resample(sound, 8000, 8000), sound)
    assert len(resample(torch.zeros(0), 8000, 16000)) == 0


@pytest.mark.parametrize(
    ("rate", "to", "message"), [(0, 8000, "rate=0"), (8000, 0, "to=0"), (44100, 2**30 + 1, "rounder rate")]
)
def test_rates_that_cannot_be_are_refused(rate: int, to: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resample(torch.zeros(10), rate, to)
