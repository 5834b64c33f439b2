"""Sounds from files, in one channel, rate and length."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mm_envs.data.media.files import SOUNDS, Fault, File, faults, read_file
from mm_envs.data.media.limits import MAX_RATE, MAX_SAMPLES, MIN_RATE
from mm_envs.data.media.resample import reach, resample
from mm_envs.data.media.structure import check_structure
from mm_envs.names import at_least

_BLOCK = 2**20  # samples of each channel that are decoded at once


def read_audio(path: str | Path, sample_rate: int, samples: int | None = None) -> tuple[Tensor, int]:
    """Reads a sound: the mean of its channels, resampled and clipped to [-1, 1].

    Args:
        path: A WAV, FLAC, OGG or MP3 file.
        sample_rate: Samples a second of the result.
        samples: The sound is cut or padded with silence to this length; None keeps its own.

    Returns:
        Samples of shape (samples,), float32 in [-1, 1], and the number of those that are not padding.

    Raises:
        FileNotFoundError: There is no such file.
        MediaError: The file is no sound, damaged, truncated, empty or too long, or holds samples that are no
            finite numbers; the sentence names it.
        ValueError: Another argument does not fit.
    """
    at_least("sample_rate", sample_rate, 1, "give the number of samples a second")
    if samples is not None:
        at_least("samples", samples, 1, "give the number of samples, or None for all")
    file = read_file(path)
    with faults(file):
        sound, rate = _decoded(file)
        whole = -(-len(sound) * sample_rate // rate)
        length = whole if samples is None else min(whole, samples)
        if length > MAX_SAMPLES:
            raise Fault(
                f"it has {length:,} samples at {sample_rate:,} Hz, more than the {MAX_SAMPLES:,} that are"
                " read: cut it into pieces, or ask for a lower rate"
            )
    # Samples beyond the reach of the last one that is kept need not be resampled.
    needed = -(-length * rate // sample_rate) + reach(rate, sample_rate)
    kept = torch.zeros(length if samples is None else samples)
    kept[:length] = resample(sound[:needed], rate, sample_rate)[:length].clamp(-1, 1)
    return kept, length


def open_sound(file: File) -> Any:
    """A ``soundfile.SoundFile`` whose header is checked and nothing is decoded.

    Raises:
        Exception: A ``Fault``, or whatever soundfile raises: call it in ``files.faults``.
    """
    import soundfile

    if file.format not in SOUNDS:
        raise Fault("it holds a picture where a sound is needed: correct the name of the file")
    check_structure(file)
    sound = soundfile.SoundFile(io.BytesIO(file.data))
    if not MIN_RATE <= sound.samplerate <= MAX_RATE:
        raise Fault(
            f"its header announces {sound.samplerate:,} samples a second, outside of {MIN_RATE:,} to"
            f" {MAX_RATE:,}: save it again, or leave the item out"
        )
    if sound.frames < 1:
        raise Fault("it holds no samples: leave the item out")
    if sound.frames * sound.channels > MAX_SAMPLES:
        raise Fault(
            f"its header announces {sound.frames:,} samples in {sound.channels} channels, more than the"
            f" {MAX_SAMPLES:,} that are read: cut it into pieces"
        )
    return sound


def _decoded(file: File) -> tuple[Tensor, int]:
    """The mean of the channels, shape (n,), float32 in [-1, 1], and the rate."""
    with open_sound(file) as sound:
        mean, count = np.zeros(sound.frames, np.float32), 0
        while len(block := sound.read(min(_BLOCK, sound.frames - count), dtype="float32", always_2d=True)):
            if not np.isfinite(block).all():
                raise Fault(
                    "it holds samples that are no finite numbers: save it again, or leave the item out"
                )
            mean[count : count + len(block)] = block.clip(-1, 1).mean(axis=1, dtype=np.float64)
            count += len(block)
        if count != sound.frames:
            raise Fault(
                f"it announces {sound.frames:,} samples and holds {count:,}:"
                " copy it again, or leave the item out"
            )
        return torch.from_numpy(mean), sound.samplerate
