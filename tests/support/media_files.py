"""Small valid files of every format, as bytes."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import soundfile
from PIL import Image


def pixels(height: int = 12, width: int = 16, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A picture with structure: no codec may blur it into nothing."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 4), -(-width // 4), channels), dtype=np.uint8)
    return coarse.repeat(4, 0).repeat(4, 1)[:height, :width]


def picture(format: str, array: np.ndarray | None = None, mode: str | None = None, **options: Any) -> bytes:
    """An encoded picture."""
    out, image = io.BytesIO(), Image.fromarray(pixels() if array is None else array)
    (image.convert(mode) if mode else image).save(out, format, **options)
    return out.getvalue()


def clip(format: str, frames: int = 3, height: int = 12, width: int = 16) -> bytes:
    """An encoded clip whose frames differ."""
    shown = [Image.fromarray(pixels(height, width, seed=i)) for i in range(frames)]
    out = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    shown[0].save(out, format, save_all=True, append_images=shown[1:], duration=100, loop=0, **options)
    return out.getvalue()


def sound(
    format: str, rate: int = 8000, samples: int = 800, channels: int = 1, subtype: str | None = None
) -> bytes:
    """An encoded sound: a tone, another one in each channel."""
    time = np.arange(samples)[:, None] / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time * (1 + np.arange(channels)))
    out = io.BytesIO()
    soundfile.write(out, tone, rate, format=format, subtype=subtype)
    return out.getvalue()


@cache
def examples() -> dict[str, bytes]:
    """A valid file of every format and of every way to code it, by file name."""
    grey = pixels(channels=1)[..., 0]
    return {
        "rgb.png": picture("PNG"),
        "grey.png": picture("PNG", grey),
        "palette.png": picture("PNG", mode="P"),
        "bits.png": picture("PNG", mode="1"),
        "alpha.png": picture("PNG", pixels(channels=4)),
        "deep.png": picture("PNG", grey.astype(np.uint16) * 257),
        "clip.png": clip("PNG"),
        "rgb.jpg": picture("JPEG"),
        "grey.jpg": picture("JPEG", grey),
        "cmyk.jpg": picture("JPEG", mode="CMYK"),
        "progressive.jpg": picture("JPEG", progressive=True),
        "lossy.webp": picture("WEBP"),
        "lossless.webp": picture("WEBP", pixels(channels=4), lossless=True),
        "clip.webp": clip("WEBP"),
        "still.gif": picture("GIF"),
        "clip.gif": clip("GIF"),
        "rgb.bmp": picture("BMP"),
        "palette.bmp": picture("BMP", mode="P"),
        "pcm16.wav": sound("WAV", subtype="PCM_16"),
        "pcm24.wav": sound("WAV", subtype="PCM_24", channels=2),
        "float.wav": sound("WAV", subtype="FLOAT"),
        "ulaw.wav": sound("WAV", subtype="ULAW"),
        "adpcm.wav": sound("WAV", subtype="IMA_ADPCM"),
        "wide.wav": sound("WAVEX", subtype="PCM_16", channels=2),
        "mono.flac": sound("FLAC"),
        "stereo.flac": sound("FLAC", channels=2, subtype="PCM_24"),
        "vorbis.ogg": sound("OGG", subtype="VORBIS"),
        "opus.ogg": sound("OGG", subtype="OPUS"),
        "mono.mp3": sound("MP3", rate=16000, samples=4000),
    }
