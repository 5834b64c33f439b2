"""Handwritten digits with spoken ones, and a word that says odd or even: none alone is enough.

Pictures of the MNIST family and recordings of the Free Spoken Digit Dataset are read by their layouts,
spoilt, paired by digit and written as files, with a ``metadata.jsonl`` that ``Folder`` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.sets.degrade import Sound, covered, equalised, faster, in_noise
from mm_envs.data.layouts import read_source
from mm_envs.data.media import read_audio
from mm_envs.data.records import Record

RATE = 8000
KNOWN, NEVER_HEARD = "known speakers", "speaker never heard"
_SPLITS = ("train", "validation", "test")
_TEST_TAKES, _VALIDATION_TAKES = range(10), range(10, 14)


@dataclass(frozen=True)
class Recipe:
    """What is made of the two sets.

    Every picture and every recording belongs to one split. Training items use each many times, with another
    band, pitch, equaliser and noise; a test picture is used once with a known speaker and once with the
    one that is never heard in training.

    Attributes:
        training: Training items.
        validation: Validation items.
        test: Test items with known speakers, and as many with the other one.
        speaker: Whose recordings are all left out of training.
        band: How many pixels of 28 the band over a picture is wide.
        noise: Decibels of speech over noise, the lowest and the highest of training.
        known_noise: Decibels of speech over noise where known speakers are held out.
        other_noise: The same for the speaker that is never heard in training. A voice that is known is
            understood in more noise; with equal noise picture and sound would do without the word.
        octaves: Training recordings are played faster or slower by up to so many octaves.
        equaliser: Frequencies of training recordings are made louder or softer by up to so many decibels.
            Without it the sound of a speaker never heard is trusted too much.
        seconds: The length of sounds.
        seed: Decides the splits of the pictures, the pairs and all that is drawn for them.
    """

    training: int = 24_000
    validation: int = 500
    test: int = 2_000
    speaker: str = "theo"
    band: int = 5
    noise: tuple[float, float] = (-9.0, 6.0)
    known_noise: float = -5.0
    other_noise: float = 4.0
    octaves: float = 0.5
    equaliser: float = 8.0
    seconds: float = 0.625
    seed: int = 0


def prepare(pictures: Path, speech: Path, target: Path, recipe: Recipe | None = None) -> list[dict[str, Any]]:
    """Writes the folder, and gives the rows of its ``metadata.jsonl``.

    A row has ``image_file_name``, ``audio_file_name``, ``text`` ("odd" or "even"), ``label`` (the digit),
    ``split``, and where it comes from: ``picture``, ``recording``, ``speaker`` and ``set`` (in the test split
    "known speakers" or "speaker never heard").

    Args:
        pictures: A folder of the MNIST family in IDX files.
        speech: A folder of the Free Spoken Digit Dataset.
        target: Where to write; made if it is not there.
        recipe: What to make; None for the usual.

    Raises:
        ValueError: The speaker has no recordings, or there are too few pictures.
    """
    recipe = recipe or Recipe()
    images, sounds = read_source(pictures).records, read_source(speech).records
    speakers = sorted({str(sound.columns["speaker"]) for sound in sounds})
    if recipe.speaker not in speakers:
        raise ValueError(f"speaker={recipe.speaker!r} is not one of {', '.join(speakers)}")
    target.mkdir(parents=True, exist_ok=True)
    heard = _Hearing()
    rows = []
    for number, (part, image, sound) in enumerate(_pairs(images, sounds, recipe)):
        row = _row(number, part, image, sound)
        for name in ("image_file_name", "audio_file_name"):
            (target / row[name]).parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng([recipe.seed, 1, number])
        _write(target, row, image, heard(sound), recipe, generator)
        rows.append(row)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (target / "metadata.jsonl").write_text(text, encoding="utf-8")
    return rows


def _row(number: int, part: str, image: Record, sound: Record) -> dict[str, Any]:
    digit = str(image.values["label"])
    split = part if part in _SPLITS else "test"
    return {
        "image_file_name": f"{split}/{number:05}.png",
        "audio_file_name": f"{split}/{number:05}.wav",
        "text": "odd" if int(digit) % 2 else "even",
        "label": digit,
        "split": split,
        "set": part,
        "picture": image.location,
        "recording": sound.location,
        "speaker": sound.columns["speaker"],
    }


def _write(
    target: Path,
    row: Mapping[str, Any],
    image: Record,
    speech: Sound,
    recipe: Recipe,
    generator: np.random.Generator,
) -> None:
    pixels = np.asarray(image.media["image"])
    Image.fromarray(covered(pixels, recipe.band, generator)).save(target / row["image_file_name"])
    decibels = recipe.other_noise if row["set"] == NEVER_HEARD else recipe.known_noise
    if row["split"] == "train":
        speech = faster(speech, float(2 ** generator.uniform(-recipe.octaves, recipe.octaves)))
        speech = equalised(speech, recipe.equaliser, generator)
        decibels = float(generator.uniform(*recipe.noise))
    mixed = in_noise(speech, round(RATE * recipe.seconds), decibels, generator)
    # Through memory: soundfile waits for the disk after every file of its own.
    wav = BytesIO()
    soundfile.write(wav, mixed, RATE, subtype="PCM_16", format="WAV")
    (target / row["audio_file_name"]).write_bytes(wav.getvalue())


class _Hearing:
    """Recordings, each read once."""

    def __init__(self) -> None:
        self._read: dict[str, Sound] = {}

    def __call__(self, sound: Record) -> Sound:
        if sound.location not in self._read:
            path = sound.media["audio"]
            assert isinstance(path, Path)
            self._read[sound.location] = read_audio(path, RATE)[0].numpy()
        return self._read[sound.location]


def _pairs(
    images: Sequence[Record], sounds: Sequence[Record], recipe: Recipe
) -> Iterator[tuple[str, Record, Record]]:
    """The name of its part, the picture and the recording of every item."""
    held_out = recipe.test + recipe.validation
    if len(images) <= held_out:
        raise ValueError(f"{len(images)} pictures are too few for {held_out} held-out items: hold out fewer")
    order: NDArray[np.int64] = np.random.default_rng([recipe.seed, 0]).permutation(len(images))
    test, validation, train = np.split(order, [recipe.test, held_out])
    parts = (
        ("train", np.resize(train, recipe.training)),
        ("validation", validation),
        (KNOWN, test),
        (NEVER_HEARD, test),
    )
    for number, (part, chosen) in enumerate(parts):
        by_digit = _by_digit([sound for sound in sounds if _part_of(sound, recipe.speaker) == part])
        generator = np.random.default_rng([recipe.seed, 2, number])
        for place in chosen.tolist():
            candidates = by_digit[str(images[place].values["label"])]
            yield part, images[place], candidates[int(generator.integers(len(candidates)))]


def _part_of(sound: Record, speaker: str) -> str:
    """The only part that a recording is used in."""
    if sound.columns["speaker"] == speaker:
        return NEVER_HEARD
    take = int(sound.columns["index"])
    if take in _TEST_TAKES:
        return KNOWN
    return "validation" if take in _VALIDATION_TAKES else "train"


def _by_digit(sounds: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for sound in sounds:
        found.setdefault(str(sound.values["label"]), []).append(sound)
    return found
