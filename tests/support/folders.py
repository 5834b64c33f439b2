"""Folders of tiny files for tests: pictures, sounds and clips whose content follows from a number."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def picture(path: Path, number: int, side: int = 40) -> str:
    """A picture of noise, its brightness by the number; returns the name of the file."""
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 128, (side, side, 3)) + 8 * (number % 16)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path.name


def sound(path: Path, number: int, seconds: float = 0.25, rate: int = 4000) -> str:
    """A tone whose pitch is the number."""
    import soundfile

    time = np.arange(round(seconds * rate)) / rate
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * (100 + 20 * number) * time), rate)
    return path.name


def clip(path: Path, number: int, frames: int = 3, side: int = 40) -> str:
    """A GIF of noise."""
    from PIL import Image

    random = np.random.default_rng(number)
    made = [Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)) for _ in range(frames)]
    path.parent.mkdir(parents=True, exist_ok=True)
    made[0].save(path, save_all=True, append_images=made[1:], duration=100)
    return path.name


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]], form: str = "jsonl") -> Path:
    """The metadata of a folder, as JSON lines or as CSV; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "metadata.jsonl").write_text(text, encoding="utf-8", newline="")
        return folder
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return folder


COLOURS = ("red", "green", "blue")


def everything(folder: Path, items: int = 24, start: int = 0) -> Path:
    """A folder of items with picture, sound, clip, text, question, captions and a label."""
    rows = []
    for number in range(start, start + items):
        colour = COLOURS[number % 3]
        rows.append(
            {
                "image_file_name": "pictures/" + picture(folder / "pictures" / f"{number}.png", number),
                "audio_file_name": "sounds/" + sound(folder / "sounds" / f"{number}.wav", number),
                "video_file_name": "clips/" + clip(folder / "clips" / f"{number}.gif", number),
                "label": colour,
                "text": f"number {number}",
                "question": "Which colour is it?",
                "answers": [colour, colour, "grey"],
                "captions": [f"a {colour} square of noise", f"some noise that is rather {colour}"],
                "speaker": number % 8,
            }
        )
    return write_rows(folder, rows)
