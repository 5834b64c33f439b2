"""Digits written, spoken and called odd or even: what is prepared, trained and compared."""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from benchmarks.experiment import Cell, Context, Finding
from benchmarks.experiments import three_modalities
from benchmarks.experiments.sets.degrade import covered, equalised, in_noise
from benchmarks.experiments.sets.spoken_digits import KNOWN, NEVER_HEARD, Recipe, prepare
from benchmarks.experiments.three_modalities import ALL, COMBINATIONS
from benchmarks.report import Measurement

RECIPE = Recipe(training=40, validation=5, test=12, speaker="theo", seconds=0.2)
TAKES = (0, 9, 10, 13, 14, 20)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sixty pictures of noise and two speakers who hum the digits."""
    pictures, speech = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("speech")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    labels = np.arange(60, dtype=np.uint8) % 10
    (pictures / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, 60, 28, 28) + images.tobytes())
    (pictures / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 60) + labels.tobytes())
    (speech / "recordings").mkdir()
    for speaker in ("abe", "theo"):
        for digit in range(10):
            for take in TAKES:
                hum = 0.3 * np.sin(np.arange(1200) * (0.1 + 0.05 * digit + 0.001 * take))
                noise = 0.01 * generator.standard_normal(1200)
                soundfile.write(speech / "recordings" / f"{digit}_{speaker}_{take}.wav", hum + noise, 8000)
    return pictures, speech


def test_nothing_lies_in_two_splits_and_one_speaker_is_never_trained_on(
    sets: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = prepare(*sets, tmp_path, RECIPE)
    assert len(rows) == 40 + 5 + 2 * 12
    for column in ("picture", "recording"):
        splits = defaultdict(set)
        for row in rows:
            splits[row[column]].add(row["split"])
        assert all(len(found) == 1 for found in splits.values())
    assert {row["set"] for row in rows if row["speaker"] == "theo"} == {NEVER_HEARD}
    assert {row["speaker"] for row in rows if row["set"] == NEVER_HEARD} == {"theo"}
    pictures = {part: {row["picture"] for row in rows if row["set"] == part} for part in (KNOWN, NEVER_HEARD)}
    assert pictures[KNOWN] == pictures[NEVER_HEARD]
    assert len(pictures[KNOWN]) == 12


def test_pairs_are_of_one_digit_and_the_word_is_its_parity(sets: tuple[Path, Path], tmp_path: Path) -> None:
    for row in prepare(*sets, tmp_path, RECIPE):
        picture, digit = int(row["picture"].split()[-1]), Path(row["recording"]).name[0]
        assert row["label"] == digit == str(picture % 10)
        assert row["text"] == ("odd" if int(digit) % 2 else "even")


def test_preparing_again_gives_the_same_files(sets: tuple[Path, Path], tmp_path: Path) -> None:
    for name, recipe in (("a", RECIPE), ("b", RECIPE), ("c", replace(RECIPE, seed=1))):
        prepare(*sets, tmp_path / name, recipe)
    first, second, other = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "abc"
    )
    assert first == second
    assert all(first[path] != other[path] for path in first)


def test_a_speaker_who_is_not_there_is_refused(sets: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="speaker='yves' is not one of abe, theo"):
        prepare(*sets, tmp_path, replace(RECIPE, speaker="yves"))
    with pytest.raises(ValueError, match="60 pictures are too few for 65 held-out items"):
        prepare(*sets, tmp_path, replace(RECIPE, test=60))


@pytest.mark.parametrize("seed", range(20))
def test_a_band_hides_little_of_what_is_drawn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one = np.zeros((28, 28), np.uint8)
    one[4:24, 13:15] = 255
    seen = covered(one, 5, generator)
    assert seen.sum() * 3 >= one.sum()
    assert (seen <= one).all()


@pytest.mark.parametrize("decibels", [-6.0, 0.0, 12.0])
def test_noise_is_as_loud_as_it_is_called(decibels: float) -> None:
    generator = np.random.default_rng(0)
    tone = np.sin(np.arange(80_000) * 0.4).astype(np.float32)
    mixed = in_noise(tone, 80_000, decibels, generator).astype(np.float64)
    share = (mixed @ tone) ** 2 / (tone @ tone) / (mixed @ mixed)
    power = 10 ** (decibels / 10)
    assert share == pytest.approx(power / (1 + power), rel=0.05)


@pytest.mark.parametrize("length", [401, 1000])
def test_an_equaliser_changes_frequencies_by_no_more_than_given(length: int) -> None:
    generator = np.random.default_rng(0)
    sound = generator.standard_normal(length).astype(np.float32)
    heard = equalised(sound, 8.0, generator)
    assert heard.shape == sound.shape
    assert heard.dtype == np.float32
    change = 20 * np.log10(np.abs(np.fft.rfft(heard)) / np.abs(np.fft.rfft(sound)))
    assert np.abs(change).max() < 8.1
    assert np.ptp(change) > 1.0


def test_a_band_of_written_pictures_is_black(sets: tuple[Path, Path], tmp_path: Path) -> None:
    row = prepare(*sets, tmp_path, replace(RECIPE, band=9))[0]
    pixels = np.asarray(Image.open(tmp_path / row["image_file_name"]))
    assert max((pixels == 0).all(0).sum(), (pixels == 0).all(1).sum()) >= 9


def test_an_agent_is_trained_on_a_combination(sets: tuple[Path, Path], tmp_path: Path) -> None:
    for folder, name in zip(sets, ("mnist_t10k", "fsdd_spoken_digits"), strict=True):
        (tmp_path / name).symlink_to(folder, target_is_directory=True)
    sizes = {"training": 40, "validation": 5, "test": 12, "steps": 32}
    found = three_modalities.accuracy(Context(tmp_path), seed=0, inputs=["image", "text"], **sizes)
    assert len(found["right"]) == len(found["recordings"]) == 24
    assert [found["sets"].count(part) for part in (KNOWN, NEVER_HEARD)] == [12, 12]


def test_tables_compare_with_all_modalities_on_the_same_items() -> None:
    n = 100
    result = {"sets": [(KNOWN, NEVER_HEARD)[i % 2] for i in range(n)], "recordings": list(map(str, range(n)))}
    findings = [
        Finding(
            Cell("f:accuracy", {"inputs": list(one)}, 0),
            {**result, "right": [float(i >= 50 or one == ALL) for i in range(n)]},
            Measurement("2026-01-01", "abc", {}),
        )
        for one in COMBINATIONS
    ]
    for table in three_modalities.tables({"accuracy": findings}):
        assert [row[0] for row in table.rows][-1] == "image + text + audio"
        assert all(row[3].startswith("+0.500 [") for row in table.rows[:-1])
        assert table.rows[-1][1] == "1.000 [1.000, 1.000]"
