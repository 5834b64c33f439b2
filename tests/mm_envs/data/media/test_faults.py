"""Every fault of a file is one sentence of ours: those that are known, and whatever a fuzzer makes."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import clip, examples, picture, sound

from mm_envs.data.media import MediaError, probe, read_audio, read_image, read_video

READERS: list[Callable[[Path], Any]] = [
    probe,
    lambda path: read_image(path, 8, 8),
    lambda path: read_image(path, 5, 9, channels=1, fit="crop"),
    lambda path: read_video(path, 3, 8, 8),
    lambda path: read_audio(path, 16000, 500),
    lambda path: read_audio(path, 8000),
]


def tried(path: Path) -> list[str]:
    """The errors of the readers; anything but our own errors, and any warning, fails the test."""
    messages = []
    for reader in READERS:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                reader(path)
            except MediaError as error:
                messages.append(str(error))
    for message in messages:
        assert message.startswith(str(path))
        assert "\n" not in message
        assert ": " in message.removeprefix(str(path))  # the cure
    return messages


def refused(tmp_path: Path, data: bytes, match: str, name: str = "file.bin") -> None:
    """By every reader, with a match in one of the errors."""
    path = tmp_path / name
    path.write_bytes(data)
    messages = tried(path)
    assert any(match in one for one in messages), messages


@pytest.mark.parametrize("name", examples())
def test_valid_files_are_read_whatever_their_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_bytes(examples()[name])
    info = probe(tmp_path / "file.txt")
    if info.kind == "audio":
        assert read_audio(tmp_path / "file.txt", 16000)[0].abs().max() > 0.1
    else:
        assert read_image(tmp_path / "file.txt", 12, 16).float().std() > 10
        assert (info.width, info.height) == (16, 12)


@pytest.mark.parametrize("name", examples())
def test_a_file_that_breaks_off_is_refused_wherever_it_does(tmp_path: Path, name: str) -> None:
    data, path = examples()[name], tmp_path / name
    # Two bytes may be padding, or a mark after the last pixel.
    for length in sorted({*range(1, len(data) - 2, max(1, len(data) // 40)), len(data) - 3}):
        path.write_bytes(data[:length])
        with pytest.raises(MediaError):
            read_audio(path, 8000) if probe_kind(name) == "audio" else read_video(path, 3, 12, 16)


def probe_kind(name: str) -> str:
    return "audio" if Path(name).suffix in (".wav", ".flac", ".ogg", ".mp3") else "image"


@pytest.mark.parametrize("name", ["rgb.png", "clip.png", "vorbis.ogg", "opus.ogg"])
def test_a_checksum_finds_every_changed_byte(tmp_path: Path, name: str) -> None:
    path, rng = tmp_path / name, random.Random(0)
    for index in rng.sample(range(len(examples()[name])), 60):
        data = bytearray(examples()[name])
        data[index] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        assert len(tried(path)) == len(READERS)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid file after some accidents."""
    names = st.sampled_from(sorted(examples()))
    content = bytearray(examples()[draw(names)])
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, max(0, min(len(content) - 1, draw(st.sampled_from([32, 200, 10**6]))))))
        damage = draw(st.sampled_from(["flip", "cut", "drop", "insert", "number", "splice"]))
        if damage == "flip" and content:
            content[index] ^= draw(st.integers(1, 255))
        elif damage == "cut":
            del content[index:]
        elif damage == "drop":
            del content[index : index + draw(st.integers(1, 64))]
        elif damage == "insert":
            content[index:index] = draw(st.binary(max_size=16))
        elif damage == "number":
            value = draw(st.sampled_from([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            content[index : index + 4] = value.to_bytes(4, draw(st.sampled_from(["little", "big"])))
        else:
            other = examples()[draw(names)]
            content[index:] = other[draw(st.integers(0, len(other))) :]
    return bytes(content)


@pytest.mark.parametrize("seed", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in range(1, 9))])
def test_no_damage_gets_past_the_readers(tmp_path: Path, seed: int) -> None:
    @hypothesis.seed(seed)
    @settings(max_examples=150 if seed == 0 else 500, deadline=None, database=None)
    @given(damaged())
    def search(content: bytes) -> None:
        (tmp_path / "file").write_bytes(content)
        tried(tmp_path / "file")

    search()


@given(
    st.binary(max_size=100),
    st.sampled_from([b"", b"BM", b"RIFF\0\0\0\0WAVE", b"fLaC", b"ID3\4\0\0", b"\xff\xfb"]),
)
@settings(max_examples=100, deadline=None)
def test_noise_is_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes, beginning: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "file"
    path.write_bytes(beginning + noise)
    assert len(tried(path)) == len(READERS)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def patched(data: bytes, index: int, form: str, *values: int) -> bytes:
    made = bytearray(data)
    struct.pack_into(form, made, index, *values)
    return bytes(made)


def test_bombs_are_refused_by_their_headers(tmp_path: Path) -> None:
    gif, bmp, jpeg, webp = (picture(format) for format in ("GIF", "BMP", "JPEG", "WEBP"))
    start = jpeg.index(b"\xff\xc0")
    refused(tmp_path, png(50_000, 50_000), "announces more than the 67,108,864 pixels")
    refused(tmp_path, png(9_000, 9_000), "announces 9,000 x 9,000 pixels")
    refused(tmp_path, png(2**31 - 1, 2**31 - 1), "pixels")
    refused(tmp_path, png(0, 4), "cannot be decoded")
    refused(tmp_path, patched(gif, 6, "<HH", 60_000, 60_000), "announces 60,000 x 60,000 pixels")
    refused(tmp_path, patched(bmp, 18, "<ii", 60_000, 60_000), "pixels")
    refused(tmp_path, patched(bmp, 18, "<ii", 9_000, 9_000), "announces 9,000 x 9,000 pixels")
    refused(tmp_path, patched(jpeg, start + 5, ">HH", 60_000, 60_000), "pixels")
    refused(tmp_path, patched(webp, 26, "<HH", 16_000, 16_000), "pixels")
    refused(tmp_path, patched(clip("GIF", frames=2), 6, "<HH", 5_000, 5_000), "more than the 16,777,216")
    many = clip("GIF", frames=2)
    frame = many[many.index(b"!\xf9", many.index(b"!\xf9") + 1) : -1]
    refused(tmp_path, many[:-1] + frame * 10_001 + b";", "frames")
    refused(tmp_path, picture("JPEG", progressive=True)[:-2] + b"\xff\xda" * 200 + b"\xff\xd9", "scans")


def test_announced_samples_are_not_believed(tmp_path: Path) -> None:
    flac = bytearray(sound("FLAC"))
    flac[21] |= 0x0F  # the upper bits of the number of samples
    flac[22] = 0xFF
    refused(tmp_path, bytes(flac), "more than the")


def test_wav_headers_that_cannot_be_are_refused(tmp_path: Path) -> None:
    wav = sound("WAV")
    refused(tmp_path, patched(wav, 22, "<H", 0), "announces 0 channels")
    refused(tmp_path, patched(wav, 22, "<H", 2), "contradicts itself")
    refused(tmp_path, patched(wav, 24, "<I", 0), "at 0 Hz")
    refused(tmp_path, patched(wav, 24, "<I", 16000), "contradicts itself")
    refused(tmp_path, patched(wav, 24, "<II", 2**30, 2**31), "samples a second, outside of")
    refused(tmp_path, patched(wav, 24, "<II", 10, 20), "samples a second, outside of")
    refused(tmp_path, patched(wav, 34, "<H", 99), "contradicts itself")
    refused(tmp_path, patched(wav, 40, "<I", 10**6), "breaks off")
    refused(tmp_path, wav[:12] + wav[36:], "how the samples are coded")
    refused(tmp_path, patched(wav[:44], 40, "<I", 0), "holds no samples")


def test_a_wrong_name_is_shown_where_the_file_is_bad(tmp_path: Path) -> None:
    refused(tmp_path, picture("JPEG")[:300], "(JPEG, though its name says PNG)", "a.png")
    refused(tmp_path, b"just some words, no picture", "none of PNG, JPEG", "a.png")
    refused(tmp_path, b"", "is empty (0 bytes)", "a.png")
    refused(tmp_path, b"BM is a beginning of a text, too", "none of PNG, JPEG")
    refused(tmp_path, picture("PNG"), "a picture where a sound is needed")
    refused(tmp_path, sound("WAV"), "sound where a picture is needed")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, match in (
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is a named pipe"),
        (Path("/dev/null"), "is a device"),
        (tmp_path / "loop", "leads back to itself"),
        (tmp_path / ("x" * 300), "name that is too long"),
    ):
        for reader in READERS:
            with pytest.raises(MediaError, match=match):
                reader(path)
    with pytest.raises(MediaError, match="no path of a file"):
        probe("a\0b.png")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "none.png", tmp_path / "file" / "none.png"):
        for reader in READERS:
            with pytest.raises(FileNotFoundError, match=r"does not exist: correct its name"):
                reader(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(MediaError, match="may not be read"):
        probe(tmp_path / "a.png")


def test_damaged_exif_leaves_the_picture_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12" + b"\xff" * 9))
    assert tried(path)[0].startswith(str(path))  # that it is no sound
    assert read_image(path, 12, 16).shape == (3, 12, 16)


def test_a_gif_without_its_last_frame_is_no_shorter_gif(tmp_path: Path) -> None:
    data = clip("GIF")
    refused(tmp_path, data[:-1], "breaks off before its end")
    refused(tmp_path, data[: data.rindex(b"!\xf9")], "breaks off before its end")
    refused(tmp_path, data[:-1] + b"\x99;", "block of no known kind")


def test_an_animated_png_holds_the_frames_that_it_announces(tmp_path: Path) -> None:
    data = clip("PNG", frames=3)
    start = data.index(b"acTL")
    announced = chunk(b"acTL", struct.pack(">II", 9, 0))
    (tmp_path / "a.png").write_bytes(data[: start - 4] + announced + data[start + 16 :])
    with pytest.raises(MediaError, match="cannot be decoded"):
        read_video(tmp_path / "a.png", 3, 8, 8)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_of_many_pages_is_not_read_without_one_of_them(tmp_path: Path, subtype: str) -> None:
    """libsndfile counts samples by the last page and skips pages that are damaged."""
    out = io.BytesIO()
    soundfile.write(
        out, np.random.default_rng(0).uniform(-0.5, 0.5, 96_000), 48_000, format="OGG", subtype=subtype
    )
    data = out.getvalue()
    pages = [found.start() for found in re.finditer(b"OggS", data)]
    assert len(pages) > 4
    for start, end in pairwise(pages[2:]):
        refused(tmp_path, data[:start], "breaks off")
        refused(tmp_path, patched(data, (start + end) // 2, "B", data[(start + end) // 2] ^ 1), "checksum")
    refused(tmp_path, data[: pages[3]] + b"junk" + data[pages[3] :], "between its pages")


def test_threads_read_the_same_and_leave_the_filters_of_warnings_alone(tmp_path: Path) -> None:
    names = [name for name in examples() if probe_kind(name) == "image"] * 10
    for name in names[: len(names) // 10]:
        (tmp_path / name).write_bytes(examples()[name])
    alone = {name: read_image(tmp_path / name, 9, 9) for name in names}
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: read_image(tmp_path / name, 9, 9), names))
    assert all(torch.equal(found, alone[name]) for name, found in zip(names, together, strict=True))
    assert warnings.filters == before
