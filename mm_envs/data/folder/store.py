"""Decoded files as tables, one row an item: in memory, or in a file that is mapped into it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from time import time
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from mm_envs.data.folder.budget import Budget
from mm_envs.data.media import read_audio, read_image, read_video
from mm_envs.data.media.files import read_bytes
from mm_envs.data.records import Media, Record

_FORMAT = 2  # of the cache, and of what decoding gives: another number is another cache
_STALE = 24 * 3600.0  # seconds after which what a killed process left is removed
_CHUNK = 2**26
_GB = 1e9
_AT_ONCE = 10**9  # bytes of all files that are decoded at the same time
_PACKED = 16  # how much larger a JPEG or an OGG usually becomes

Decoder = Callable[[Media], "tuple[Tensor, int]"]


@dataclass(frozen=True)
class Form:
    """What every file of one field becomes.

    Attributes:
        kind: "image", "video" or "audio".
        shape: The shape of one row: (channels, height, width), the same with frames in front, or (samples,).
        fit: How a picture is fitted: "pad", "stretch" or "crop".
        sample_rate: Of sounds, in hertz.
    """

    kind: str
    shape: tuple[int, ...]
    fit: str = "pad"
    sample_rate: int = 0

    @property
    def dtype(self) -> torch.dtype:
        """float32 for sounds, uint8 for pictures."""
        return torch.float32 if self.kind == "audio" else torch.uint8

    @property
    def row_bytes(self) -> int:
        """The size of one row."""
        return prod(self.shape) * self.dtype.itemsize

    def decode(self, media: Media) -> tuple[Tensor, int]:
        """One row, and how many samples of it are sound (0 for pictures).

        Raises:
            ValueError: The file is damaged, or of another kind.
            FileNotFoundError: It is gone.
        """
        if self.kind == "image":
            channels, height, width = self.shape
            return read_image(media, height, width, channels, self.fit), 0
        if not isinstance(media, Path):
            raise ValueError(f"{self.kind} is an array: only pictures can be handed over decoded")
        if self.kind == "video":
            frames, channels, height, width = self.shape
            return read_video(media, frames, height, width, channels, self.fit), 0
        sound, length = read_audio(media, self.sample_rate, self.shape[0])
        return sound, min(length, self.shape[0])


@dataclass(eq=False)
class Tables:
    """The decoded files of all items.

    Attributes:
        fields: Field -> (n, ...) on the CPU; ``audio_length`` is (n, 1) int64; rows without a file are zero.
        bad: The rows that could not be decoded, which are left out of ``fields``.
        path: The folder of the cache; None in memory.
    """

    fields: dict[str, Tensor]
    bad: list[int] = field(default_factory=list)
    path: Path | None = None


# Environments of one process share what they decode.
_shared: WeakValueDictionary[str, Tables] = WeakValueDictionary()


def digest_of(media: Media) -> str:
    """The SHA-256 of the bytes of a file, or of the pixels of a picture that is handed over decoded.

    Raises:
        FileNotFoundError: There is no such file.
        MediaError: It cannot be read, or is larger than any that is: a small archive may hold huge files.
    """
    if isinstance(media, Path):
        return hashlib.sha256(read_bytes(media)).hexdigest()
    return hashlib.sha256(f"{media.shape}".encode() + np.ascontiguousarray(media).tobytes()).hexdigest()


def in_threads(job: Callable[[int], object], count: int) -> Iterator[object]:
    """The results of ``job(0)`` to ``job(count - 1)`` in this order; an exception is a result."""

    def tried(number: int) -> object:
        try:
            return job(number)
        except (ValueError, OSError) as error:
            return error

    workers = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield from workers.map(tried, range(count))
    finally:
        workers.shutdown(cancel_futures=True)


def decoded(
    records: Sequence[Record],
    digests: Sequence[Mapping[str, str]],
    forms: Mapping[str, Form],
    memory_gb: float,
    cache: Path | None,
    fault: Callable[[int, str], None],
) -> Tables:
    """Decodes the files of all items.

    Args:
        records: The items.
        digests: The digest of each file of each item, by field.
        forms: What the files of each field become.
        memory_gb: Beyond so many gigabytes (10**9 bytes) the tables are kept in a file.
        cache: The folder for such files.
        fault: Called with a row and a sentence for each that cannot be decoded; may raise.

    Raises:
        ValueError: The tables fit neither into the memory that they may take nor onto the disk.
    """
    key = _key(digests, forms)
    if key in _shared:
        return _shared[key]
    size = len(records) * sum(form.row_bytes for form in forms.values())
    if size <= memory_gb * _GB:
        fields = {
            name: torch.zeros((len(records), *form.shape), dtype=form.dtype) for name, form in forms.items()
        }
        tables = _filled(records, digests, forms, fields, fault)
        tables.fields = {
            name: table[: len(records) - len(tables.bad)] for name, table in tables.fields.items()
        }
    else:
        tables = _on_disk(records, digests, forms, cache or default_cache(), key, size, memory_gb, fault)
    if not tables.bad:
        _shared[key] = tables
    return tables


def default_cache() -> Path:
    """The folder for decoded files under the user's own cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "mm-envs"


def _key(digests: Sequence[Mapping[str, str]], forms: Mapping[str, Form]) -> str:
    said = json.dumps([_FORMAT, {name: repr(form) for name, form in forms.items()}], sort_keys=True)
    digest = hashlib.sha256(said.encode())
    for files in digests:
        digest.update(json.dumps(files, sort_keys=True).encode())
    return digest.hexdigest()


def _filled(
    records: Sequence[Record],
    digests: Sequence[Mapping[str, str]],
    forms: Mapping[str, Form],
    fields: dict[str, Tensor],
    fault: Callable[[int, str], None],
) -> Tables:
    """Writes every file into its rows, then closes the gaps of those that cannot be decoded."""
    lengths = torch.zeros((len(records), 1), dtype=torch.int64)
    jobs: dict[tuple[str, str], list[int]] = {}
    for row, files in enumerate(digests):
        for name, digest in files.items():
            jobs.setdefault((name, digest), []).append(row)
    todo, budget = list(jobs.items()), Budget(_AT_ONCE)

    def decode(number: int) -> None:
        # Equal files are decoded once.
        (name, _), rows = todo[number]
        media = records[rows[0]].media[name]
        with budget.part(_needed(media, forms[name])):
            value, length = forms[name].decode(media)
        for row in rows:
            fields[name][row] = value
            if name == "audio":
                lengths[row] = length

    bad: set[int] = set()
    for ((_, _), rows), result in zip(todo, in_threads(decode, len(todo)), strict=True):
        if isinstance(result, Exception):
            for row in rows:
                if row not in bad:
                    fault(row, f"{records[row].place}: {result}")
                bad.add(row)
    if "audio" in fields:
        fields = {**fields, "audio_length": lengths}
    kept = torch.tensor([row for row in range(len(records)) if row not in bad], dtype=torch.int64)
    if bad:
        for table in fields.values():
            for at in range(0, len(kept), 256):
                part = kept[at : at + 256]
                table[at : at + len(part)] = table[part]
    return Tables(fields, sorted(bad))


def _needed(media: Media, form: Form) -> int:
    """About how many bytes are in memory while a file is decoded."""
    try:
        size = media.stat().st_size if isinstance(media, Path) else media.nbytes
    except OSError:
        size = 0  # who decodes it says what is wrong with it
    return size * (1 + _PACKED) + form.row_bytes


# On disk ----------------------------------------------------------------------------------------------------


def _on_disk(
    records: Sequence[Record],
    digests: Sequence[Mapping[str, str]],
    forms: Mapping[str, Form],
    cache: Path,
    key: str,
    size: int,
    memory_gb: float,
    fault: Callable[[int, str], None],
) -> Tables:
    """The tables in files of the cache; written to a folder of another name, which is renamed when whole."""
    target = cache / key[:32]
    if target.is_dir():
        tables = _mapped(target, forms, len(records))
        for row in tables.bad:
            fault(row, f"{records[row].place}: {_why(records[row], forms)}")
        return tables
    work = _make_room(cache, key, size, memory_gb)
    try:
        fields = {name: _new(work / f"{name}.bin", form, len(records)) for name, form in forms.items()}
        made = _filled(records, digests, forms, fields, fault)
        about = {
            "bad": made.bad,
            "lengths": made.fields.get("audio_length", torch.zeros(0)).flatten().tolist(),
        }
        del fields, made
        (work / "about.json").write_text(json.dumps(about))
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            # Another process was quicker: it has written the same.
    except OSError as error:
        raise _cannot_write(cache, error, size) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _mapped(target, forms, len(records))


def _make_room(cache: Path, key: str, size: int, memory_gb: float) -> Path:
    """A new folder in the cache, to be renamed when it is whole."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob("*.part"):
            with suppress(FileNotFoundError):  # another process removed it
                if time() - left.stat().st_mtime > _STALE:
                    shutil.rmtree(left, ignore_errors=True)
        _refuse_full(cache, size, memory_gb)
        # Not by tempfile, whose folders nobody else may read: several users may share a cache.
        (work := cache / f"{key[:32]}.{uuid4().hex}.part").mkdir()
        return work
    except OSError as error:
        raise _cannot_write(cache, error, size) from None


def _cannot_write(cache: Path, error: OSError, size: int) -> ValueError:
    return ValueError(
        f"cache={str(cache)!r} cannot be written to ({error.strerror}): name another folder, or give "
        f"memory_gb of {size / _GB:.2g} or more"
    )


def _refuse_full(cache: Path, size: int, memory_gb: float) -> None:
    free = shutil.disk_usage(cache).free
    if size > free:
        raise ValueError(
            f"decoded, this folder takes {_read(size)}, more than memory_gb={memory_gb:g} and than the "
            f"{_read(free)} that are free in {cache}: lower size, frames or seconds, or name a folder "
            "on a larger disk with cache="
        )


def _read(size: float) -> str:
    """A number of bytes as people read it."""
    return f"{size / _GB:.1f} GB" if size >= _GB else f"{size / 1e6:.1f} MB"


def _new(path: Path, form: Form, rows: int) -> Tensor:
    with path.open("wb") as file:
        _reserve(file.fileno(), rows * form.row_bytes)
    shape = (rows, *form.shape)
    return torch.from_numpy(np.memmap(path, dtype=_numpy(form), mode="r+", shape=shape))


def _reserve(file: int, size: int) -> None:
    """Takes the room of a file on the disk: a mapped file that finds none later kills the process."""
    if hasattr(os, "posix_fallocate") and size:
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some disks cannot reserve
                raise


def _mapped(folder: Path, forms: Mapping[str, Form], rows: int) -> Tables:
    try:
        about = json.loads((folder / "about.json").read_text())
        bad = [int(row) for row in about["bad"]]
        fields = {}
        for name, form in forms.items():
            # Copy on write: torch wants to be able to write, and the file stays as it is.
            shape = (rows, *form.shape)
            table = np.memmap(folder / f"{name}.bin", dtype=_numpy(form), mode="c", shape=shape)
            fields[name] = torch.from_numpy(table)[: rows - len(bad)]
        if "audio" in forms:
            lengths = torch.tensor(about["lengths"], dtype=torch.int64)
            fields["audio_length"] = lengths[: rows - len(bad), None]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is damaged ({error}): remove it, it is made again") from None
    return Tables(fields, bad, folder)


def _numpy(form: Form) -> type[np.generic]:
    return np.float32 if form.kind == "audio" else np.uint8


def _why(record: Record, forms: Mapping[str, Form]) -> str:
    for name, form in forms.items():
        try:
            if name in record.media:
                form.decode(record.media[name])
        except (ValueError, OSError) as error:
            return str(error)
    return "it could not be decoded when the cache was written"
