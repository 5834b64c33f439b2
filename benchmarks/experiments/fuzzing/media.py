"""Pictures, clips and sounds that are broken, among others that are not."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.experiments.fuzzing.case import Fault, Maker

_OTHERS = 4  # items that stay right
_TRIES = 400

# Form -> ending, field and how the libraries call it.
FORMS: Mapping[str, tuple[str, str, str]] = {
    "PNG": (".png", "image", "PNG"),
    "JPEG": (".jpg", "image", "JPEG"),
    "WebP": (".webp", "image", "WEBP"),
    "BMP": (".bmp", "image", "BMP"),
    "GIF": (".gif", "video", "GIF"),
    "animated WebP": (".webp", "video", "WEBP"),
    "animated PNG": (".png", "video", "PNG"),
    "WAV": (".wav", "audio", "WAV"),
    "FLAC": (".flac", "audio", "FLAC"),
    "OGG": (".ogg", "audio", "OGG"),
}


def encoded(form: str, rng: Random) -> bytes:
    """A small valid file of a form."""
    _, field, name = FORMS[form]
    noise = np.random.default_rng(rng.getrandbits(32))
    out = io.BytesIO()
    if field == "audio":
        rate = rng.choice([8000, 16000])
        soundfile.write(out, noise.uniform(-0.5, 0.5, 1600), rate, format=name)
        return out.getvalue()
    shown = [Image.fromarray(noise.integers(0, 256, (24, 32, 3), dtype=np.uint8)) for _ in range(3)]
    still = field == "image"
    shown[0].save(out, name, **({} if still else {"save_all": True, "append_images": shown[1:]}))
    return out.getvalue()


def decoded(form: str, data: bytes) -> list[NDArray[np.generic]] | None:
    """What the libraries themselves make of a file; None if they refuse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if FORMS[form][1] == "audio":
                return [soundfile.read(io.BytesIO(data))[0]]
            with Image.open(io.BytesIO(data)) as picture:
                frames = range(getattr(picture, "n_frames", 1))
                return [np.array((picture.seek(frame), picture.convert("RGB"))[1]) for frame in frames]
    except Exception:
        return None


def truncated(form: str, data: bytes, rng: Random) -> bytes | None:
    """Cut off where it costs pixels or samples."""
    made = data[: rng.randrange(1, len(data))]
    found, whole = decoded(form, made), decoded(form, data)
    same = found is not None and whole is not None and len(found) == len(whole)
    if same and all(np.array_equal(a, b) for a, b in zip(found or [], whole or [], strict=True)):
        return None
    return made


def flipped(form: str, data: bytes, rng: Random) -> bytes | None:
    """With some changed bytes, so that the library refuses it."""
    made = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        made[rng.randrange(min(len(made), rng.choice([64, len(made)])))] ^= rng.randrange(1, 256)
    return bytes(made) if decoded(form, bytes(made)) is None else None


def beheaded(form: str, data: bytes, rng: Random) -> bytes | None:
    """Without its beginning."""
    made = data[rng.randrange(4, 40) :]
    return made if decoded(form, made) is None else None


def misnamed(form: str, data: bytes, rng: Random) -> bytes | None:
    """A sound under the name of a picture, or a picture under that of a sound."""
    return encoded("WAV" if FORMS[form][1] != "audio" else "PNG", rng)


def text(form: str, data: bytes, rng: Random) -> bytes | None:
    """What a server sends in place of a file that it does not have."""
    return f"<html><body><h1>404 Not Found</h1><p>{rng.random()}</p></body></html>".encode()


def empty(form: str, data: bytes, rng: Random) -> bytes | None:
    """No bytes at all."""
    return b""


def bytes_without_form(form: str, data: bytes, rng: Random) -> bytes | None:
    """Noise."""
    return rng.randbytes(rng.randrange(1, 500))


def bomb(form: str, data: bytes, rng: Random) -> bytes | None:
    """A small file whose header announces a large one."""
    side = rng.randrange(20_000, 60_000)
    made = bytearray(data)
    if form in ("PNG", "animated PNG"):
        struct.pack_into(">II", made, 16, side, side)
        struct.pack_into(">I", made, 29, zlib.crc32(bytes(made[12:29])))
    elif form == "JPEG":
        struct.pack_into(">HH", made, data.index(b"\xff\xc0") + 5, side, side)
    elif form == "WebP":
        struct.pack_into("<HH", made, 26, 0x3FFF, 0x3FFF)
    elif form == "animated WebP":
        made[24:30] = (side.to_bytes(3, "little")) * 2
    elif form == "BMP":
        struct.pack_into("<ii", made, 18, side, side)
    elif form == "GIF":
        struct.pack_into("<HH", made, 6, side, side)
    elif form == "FLAC":
        made[21] |= 0x0F
    return bytes(made) if bytes(made) != data else None


def without_channels(form: str, data: bytes, rng: Random) -> bytes | None:
    """A WAV of no channels."""
    return _patched(data, 22, "<H", 0)


def absurd_rate(form: str, data: bytes, rng: Random) -> bytes | None:
    """A WAV of rates that no microphone has."""
    rate = rng.choice([0, 1, 7, 2_000_000, 2**31 - 1])
    return _patched(data, 24, "<II", rate, rate * 2 % 2**32)


def contradiction(form: str, data: bytes, rng: Random) -> bytes | None:
    """A WAV whose header says two different things."""
    offset, value = rng.choice([(22, 2), (32, 3), (34, 24)])
    return _patched(data, offset, "<H", value)


def too_long(form: str, data: bytes, rng: Random) -> bytes | None:
    """A WAV that announces more samples than it holds."""
    return _patched(data, data.index(b"data") + 4, "<I", len(data) + rng.randrange(1, 10**6))


def no_samples(form: str, data: bytes, rng: Random) -> bytes | None:
    """A WAV that holds nothing."""
    return _patched(data[:44], 40, "<I", 0)


def no_numbers(form: str, data: bytes, rng: Random) -> bytes | None:
    """A WAV some of whose samples are no numbers."""
    samples = np.zeros(800, np.float32)
    samples[rng.randrange(800)] = rng.choice([np.nan, np.inf, -np.inf])
    out = io.BytesIO()
    soundfile.write(out, samples, 8000, format="WAV", subtype="FLOAT")
    return out.getvalue()


def _patched(data: bytes, offset: int, form: str, *values: int) -> bytes:
    made = bytearray(data)
    struct.pack_into(form, made, offset, *values)
    return bytes(made)


Damage = Callable[[str, bytes, Random], "bytes | None"]

_ALL: tuple[Damage, ...] = (truncated, flipped, beheaded, misnamed, text, empty, bytes_without_form)
_WAV: tuple[Damage, ...] = (without_channels, absurd_rate, contradiction, too_long, no_samples, no_numbers)
# WAV has damages of its own, and Ogg has no number of samples that could be raised.
_NOT = {("bomb", "WAV"), ("bomb", "OGG")}


def broken(form: str, damage: Damage, root: Path, rng: Random) -> Fault:
    """A folder of files of a form, one of which is broken.

    Raises:
        RuntimeError: The damage never broke a file.
    """
    data = encoded(form, rng)
    made = next((one for _ in range(_TRIES) if (one := damage(form, data, rng)) is not None), None)
    if made is None:
        raise RuntimeError(f"{damage.__name__} never broke a {form} file")
    line = intact(form, root, rng)
    name = f"{_OTHERS}{FORMS[form][0]}"
    (root / name).write_bytes(made)
    return Fault((name, f"metadata.jsonl, line {line}"), items=_OTHERS)


def intact(form: str, root: Path, rng: Random) -> int:
    """Writes a folder of files of a form in any order, none of them broken; the line of the last file."""
    ending, field, _ = FORMS[form]
    rows = []
    for number, split in enumerate(("train", "train", "validation", "test", "train")):
        name = f"{number}{ending}"
        (root / name).write_bytes(encoded(form, rng))
        rows.append({f"{field}_file_name": name, "label": name, "split": split})
    last = rows[-1]
    rng.shuffle(rows)
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return 1 + rows.index(last)


def controls() -> dict[str, Callable[[Path, Random], object]]:
    """What writes folders that are right, by name."""
    return {form: partial(intact, form) for form in FORMS}


def makers() -> dict[str, Maker]:
    """Every kind of broken file, by name."""
    kinds = [(form, damage) for form in FORMS for damage in _ALL]
    kinds += [(form, bomb) for form in FORMS if ("bomb", form) not in _NOT]
    kinds += [("WAV", damage) for damage in _WAV]
    return {
        f"{form} {damage.__name__.replace('_', ' ')}": partial(broken, form, damage) for form, damage in kinds
    }
