"""Items of a folder drawn on one sheet, with their values."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mm_envs.names import check_one_of

if TYPE_CHECKING:
    import gymnasium as gym
    from PIL.Image import Image as Picture
    from torch import Tensor

    from mm_envs.data.records import Record, Source

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SPLITS = ("all", "train", "validation", "test")

# Pixels of a picture and frames of a video, as a person sees them well.
_SIDE, _FRAMES = 256, 4
_RATE = 16_000


def chosen(source: Source, split: str, count: int, seed: int) -> list[Record]:
    """Some items of a source, drawn by chance, in its order.

    Raises:
        ValueError: There is no such split, or the source says no splits.
    """
    check_one_of("--split", split, SPLITS)
    records = [record for record in source.records if split in ("all", record.split)]
    if not records:
        raise ValueError(f"{source.root} says of no item that it is in the {split} split: use --split all")
    return [
        records[i] for i in sorted(random.Random(seed).sample(range(len(records)), min(count, len(records))))
    ]


def draw(records: Sequence[Record]) -> tuple[Picture, list[str]]:
    """A sheet with a card for every item, and what is wrong with those that cannot be read.

    Raises:
        ValueError: None of them can be read.
    """
    from mm_envs.engine.render import contact_sheet, draw_card

    cards, faults = [], []
    for record in records:
        try:
            spaces, shown = _observed(record)
        except (ValueError, FileNotFoundError) as error:
            faults.append(f"{record.location}: {error}")
            continue
        cards.append(draw_card(spaces, shown, _lines(record)))
    if not cards:
        raise ValueError(f"none of {len(records)} items can be drawn, the first: {faults[0]}")
    return contact_sheet(cards), faults


def _observed(record: Record) -> tuple[dict[str, gym.Space[Any]], dict[str, Tensor]]:
    """The media of an item: videos as a square of frames, sounds with their spectrogram."""
    from pathlib import Path

    from torch.nn.functional import pad

    from mm_envs.data.media import read_audio, read_image, read_video
    from mm_envs.spaces import Audio, Image

    spaces: dict[str, gym.Space[Any]] = {}
    shown: Mapping[str, Tensor] = {}
    for name, media in record.media.items():
        if name == "image":
            shown = {**shown, "image": read_image(media, _SIDE, _SIDE)}
        elif name == "video" and isinstance(media, Path):
            half = _SIDE // 2
            frames = pad(read_video(media, _FRAMES, half - 2, half - 2), (1, 1, 1, 1), value=255)
            square = frames.view(2, 2, 3, half, half).permute(2, 0, 3, 1, 4)
            shown = {**shown, "video": square.reshape(3, _SIDE, _SIDE)}
        elif isinstance(media, Path):
            sound, _ = read_audio(media, _RATE)
            spaces["audio"] = Audio(len(sound), _RATE)
            shown = {**shown, "audio": sound, "spectrogram": spectrogram(sound)}
    pictures = {
        name: Image(value.shape[1], value.shape[2]) for name, value in shown.items() if name != "audio"
    }
    return {**pictures, **spaces}, dict(shown)


def spectrogram(sound: Tensor) -> Tensor:
    """The loudness of a sound over time and pitch, dark is loud: (3, 256, 256) uint8.

    Short-time Fourier transform with Hann windows of 512 samples; the highest 60 decibels are shown.
    """
    import torch

    padded = torch.nn.functional.pad(sound, (0, max(0, 512 - len(sound))))
    window = torch.hann_window(512)
    power = torch.stft(padded, 512, 128, window=window, return_complex=True, pad_mode="constant").abs() ** 2
    level = 10 * torch.log10(power.clamp(min=1e-10))
    shade = ((level - level.max()) / 60 + 1).clamp(0, 1).flip(0)[None, None]
    fitted = torch.nn.functional.interpolate(shade, (_SIDE, _SIDE), mode="bilinear", antialias=True)
    return (255 - 255 * fitted[0]).round().to(torch.uint8).expand(3, -1, -1)


def _lines(record: Record) -> list[tuple[str, str]]:
    lines = [("where", record.location)]
    if record.split:
        lines.append(("split", record.split))
    for name, value in record.values.items():
        if name == "boxes":
            lines.append((name, f"{len(value)}"))
        else:
            lines.append(
                (name, " | ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
            )
    return [(name, text if len(text) <= 300 else f"{text[:297]}...") for name, text in lines]
