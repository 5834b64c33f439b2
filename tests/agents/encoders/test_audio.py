"""Log-mel spectrograms against public implementations and the closed form; sounds of any length."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.encoders import make_encoder
from agents.encoders.audio import standardise
from agents.encoders.log_mel import LogMel, mel_filters
from mm_envs.spaces import Audio

ORACLE = "pip install librosa, to compare with it"
# Bands, window, sample rate: few bands and long windows, so that no filter has to be widened.
WIDE = [(8, 256, 8000), (12, 512, 16000), (20, 1024, 16000)]


def closed_form(bands: int, window: int, rate: int) -> NDArray[np.float64]:
    """Triangles between neighbouring edges that are equally far apart in mel, one entry at a time."""
    highest = 2595.0 * math.log10(1.0 + rate / 2 / 700.0)
    edges = [700.0 * (10.0 ** (highest * i / (bands + 1) / 2595.0) - 1.0) for i in range(bands + 2)]
    weights = np.zeros((window // 2 + 1, bands))
    for row in range(window // 2 + 1):
        frequency = row * rate / window
        for band in range(bands):
            low, centre, high = edges[band : band + 3]
            if low < frequency < high:
                rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
                weights[row, band] = min(rising, falling)
    return weights


def tones(n: int, samples: int, rate: int) -> Tensor:
    time = torch.arange(samples) / rate
    pitch = torch.linspace(200.0, rate / 3, n)[:, None]
    noise = torch.randn(n, samples, generator=torch.Generator().manual_seed(0))
    return 0.5 * torch.sin(2 * torch.pi * pitch * time) + 0.05 * noise


@pytest.mark.parametrize(("bands", "window", "rate"), WIDE)
def test_mel_filters_have_their_closed_form(bands: int, window: int, rate: int) -> None:
    wanted = torch.tensor(closed_form(bands, window, rate), dtype=torch.float32)
    torch.testing.assert_close(mel_filters(bands, window, rate), wanted, atol=2e-5, rtol=1e-4)


def librosa() -> Any:
    return pytest.importorskip("librosa", reason=ORACLE)


@pytest.mark.parametrize(("bands", "window", "rate"), WIDE)
def test_mel_filters_are_those_of_librosa(bands: int, window: int, rate: int) -> None:
    public = librosa().filters.mel(sr=rate, n_fft=window, n_mels=bands, htk=True, norm=None)
    wanted = torch.from_numpy(public.T.copy())
    torch.testing.assert_close(mel_filters(bands, window, rate), wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_a_log_mel_spectrogram_is_that_of_librosa(rate: int) -> None:
    public, spectrogram, sounds = librosa(), LogMel(rate, bands=8), tones(3, 4000, rate)
    energy = public.feature.melspectrogram(
        y=sounds.numpy(),
        sr=rate,
        n_fft=spectrogram.window,
        hop_length=spectrogram.hop,
        window="hann",
        center=False,
        power=2.0,
        n_mels=8,
        htk=True,
        norm=None,
    )
    wanted = torch.from_numpy(np.log(energy + 1e-5) / -math.log(1e-5))
    torch.testing.assert_close(spectrogram(sounds), wanted.float(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_mel_filters_are_those_of_torchaudio(rate: int) -> None:
    reason = "pip install torchaudio, to compare with it"
    functional = pytest.importorskip("torchaudio", reason=reason).functional
    wanted = functional.melscale_fbanks(257, 0.0, rate / 2, 12, rate, norm=None, mel_scale="htk")
    torch.testing.assert_close(mel_filters(12, 512, rate), wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("samples", [50, 256, 383, 384, 2000, 9000])
def test_the_number_of_frames(samples: int) -> None:
    spectrogram = LogMel(8000)
    frames = spectrogram(torch.zeros(1, samples)).shape[2]
    assert spectrogram.frames(samples) == frames
    # A sound within a longer one has as many frames as by itself.
    there = spectrogram.within(torch.tensor([[samples], [0]]), spectrogram.frames(10_000))
    assert there.sum(1).tolist() == [frames, 0]


@pytest.mark.parametrize("samples", [100, 2000, 5000])
def test_silence_behind_a_sound_changes_no_token(samples: int) -> None:
    torch.manual_seed(0)
    short, long = make_encoder(Audio(samples, 8000), "gru"), make_encoder(Audio(8000, 8000), "gru")
    long.load_state_dict(short.state_dict())
    sounds = tones(3, samples, 8000)
    alone = short(sounds)
    padded = torch.nn.functional.pad(sounds, (0, 8000 - samples), value=0.3)
    encoded = long(padded, torch.full((3, 1), samples))
    assert alone.mask is None
    assert encoded.mask is not None
    assert encoded.mask.sum(1).tolist() == [short.count] * 3
    torch.testing.assert_close(encoded.tokens[:, : short.count], alone.tokens, atol=1e-5, rtol=1e-4)
    assert not encoded.tokens[:, short.count :].any()


def test_positions_of_frames_are_moments() -> None:
    torch.manual_seed(0)
    encoder = make_encoder(Audio(4000, 8000), "gru")
    assert encoder.positions is not None
    assert encoder.positions.shape == (30, 1)
    assert (encoder.positions.diff(dim=0) > 0).all()
    assert make_encoder(Audio(80_000, 8000), "gru").count == 64


def test_standardised_spectrograms_have_mean_0() -> None:
    log_mel = torch.randn(3, 5, 7) * 3 + 2
    plain, level = standardise(log_mel)
    mean, deviation = log_mel.mean((1, 2)), log_mel.var((1, 2), unbiased=False).sqrt()
    torch.testing.assert_close(level[:, 0], torch.stack([mean, deviation], 1))
    torch.testing.assert_close(plain.mean((1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    mask = torch.arange(7) < torch.tensor([[4], [7], [0]])
    masked, _ = standardise(log_mel, mask)
    torch.testing.assert_close(masked[0, :, :4], standardise(log_mel[:1, :, :4])[0][0])
    assert not masked[0, :, 4:].any()
    assert masked.isfinite().all()
