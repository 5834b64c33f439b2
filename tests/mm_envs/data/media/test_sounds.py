"""Sounds: every format, one channel, one rate, one length."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from media_files import sound
from shared_data import shared

from mm_envs.data.media import MediaError, MediaInfo, probe, read_audio, resample


def written(path: Path, array: np.ndarray, rate: int = 8000, **options: str) -> Path:
    out = io.BytesIO()
    soundfile.write(out, array, rate, format=options.pop("format", "WAV"), **options)
    path.write_bytes(out.getvalue())
    return path


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24")])
def test_lossless_formats_give_the_very_samples(tmp_path: Path, format: str, subtype: str) -> None:
    array = np.round(np.random.default_rng(0).uniform(-1, 1, 500) * 2**15) / 2**15 * 0.99
    array = np.floor(array * 2**15) / 2**15
    path = written(tmp_path / "sound", array, format=format, subtype=subtype)
    found, length = read_audio(path, 8000)
    assert torch.equal(found, torch.from_numpy(array).float())
    assert length == 500
    assert probe(path) == MediaInfo("audio", samples=500, sample_rate=8000)


@pytest.mark.parametrize("format", ["OGG", "MP3"])
def test_lossy_formats_give_nearly_the_same_sound(tmp_path: Path, format: str) -> None:
    (tmp_path / "a").write_bytes(sound(format, rate=16000, samples=8000))
    (tmp_path / "b").write_bytes(sound("WAV", rate=16000, samples=8000))
    lossy, lossless = (read_audio(tmp_path / name, 16000)[0][1000:7000] for name in "ab")
    assert (lossy - lossless).abs().max() < 0.05


def test_channels_are_averaged_and_loud_samples_clipped(tmp_path: Path) -> None:
    array = np.array([[0.5, -0.25], [2.0, 2.0], [-7.0, -7.0]])
    path = written(tmp_path / "a.wav", array, subtype="FLOAT")
    assert read_audio(path, 8000)[0].tolist() == [0.125, 1.0, -1.0]


@pytest.mark.parametrize("to", [4000, 8000, 16000, 22050])
@pytest.mark.parametrize("samples", [1, 37, 400, 5000, None])
def test_a_part_is_the_beginning_of_the_whole(tmp_path: Path, to: int, samples: int | None) -> None:
    array = np.random.default_rng(1).uniform(-0.5, 0.5, 900)
    path = written(tmp_path / "a.wav", array, subtype="FLOAT")
    whole = resample(torch.from_numpy(array).float(), 8000, to)
    found, length = read_audio(path, to, samples)
    assert length == min(len(whole), samples or len(whole))
    assert len(found) == (samples or len(whole))
    assert torch.equal(found[:length], whole[:length].clamp(-1, 1))
    assert not found[length:].any()


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    for value in (np.nan, np.inf, -np.inf):
        path = written(tmp_path / "a.wav", np.array([0.0, value, 0.0]), subtype="FLOAT")
        with pytest.raises(MediaError, match="no finite numbers"):
            read_audio(path, 8000)


def test_a_stream_of_unknown_length_goes_on_to_the_end(tmp_path: Path) -> None:
    data = bytearray(sound("WAV"))
    index = data.index(b"data") + 4
    data[index : index + 4] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(data)
    assert read_audio(tmp_path / "a.wav", 8000)[1] == 800


@pytest.mark.parametrize(("rate", "samples", "message"), [(0, None, "sample_rate=0"), (8000, 0, "samples=0")])
def test_arguments_that_do_not_fit_are_refused(
    tmp_path: Path, rate: int, samples: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_audio(tmp_path / "a.wav", rate, samples)


def test_real_sounds_are_read() -> None:
    speech = sorted(shared("fsdd_spoken_digits").glob("recordings/*.wav"))[0]
    found, length = read_audio(speech, 16000, 16000)
    assert found.abs().max() > 0.01
    assert length == 2 * probe(speech).samples
