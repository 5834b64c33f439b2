"""Decoded files as tables with one row an item, in memory or in memory-mapped files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Condition
from time import time
from typing import TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from mm_envs.data.media import read_audio, read_image, read_video
from mm_envs.data.media.files import read_bytes
from mm_envs.data.records import Media, Record

_FORMAT = 3  # of the cache and of decoding: another number is another cache
_STALE = 24 * 3600.0  # seconds after which the files of a killed process are removed
_GB = 1e9
_AT_ONCE = 10**9  # bytes of all files that are decoded at the same time
_PACKED = 16  # the usual ratio of decoded size and size of a JPEG or an OGG

Argument = TypeVar("Argument")


@dataclass(frozen=True)
class Form:
    """The form of the decoded files of one field.

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
        """Returns one row, and the number of samples before the padding (0 for pictures)."""
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
    bad: list[int]
    path: Path | None = None


# Environments of one process share decoded files.
_shared: WeakValueDictionary[str, Tables] = WeakValueDictionary()


def digest_of(media: Media) -> str:
    """Returns the SHA-256 of the bytes of a file, or of the pixels of an array; as ``read_bytes`` fails."""
    if isinstance(media, Path):
        return hashlib.sha256(read_bytes(media)).hexdigest()
    return hashlib.sha256(f"{media.shape}".encode() + np.ascontiguousarray(media).tobytes()).hexdigest()


def in_threads(job: Callable[[Argument], object], arguments: Sequence[Argument]) -> Iterator[object]:
    """Yields the results of ``job`` for all arguments in their order; an exception is a result."""

    def tried(argument: Argument) -> object:
        try:
            return job(argument)
        except (ValueError, OSError) as error:
            return error

    workers = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield from workers.map(tried, arguments)
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
    """Decodes the files of all items; ``fault``, called with row and sentence of each bad one, may raise.

    Above ``memory_gb`` (10**9 bytes) the tables are kept in files of the folder ``cache``.

    Raises:
        ValueError: The tables fit neither into the allowed memory nor onto the disk.
    """
    key = _key(digests, forms)
    if key in _shared:
        return _shared[key]
    files = _Files(records, digests, forms, fault)
    if files.size > memory_gb * _GB:
        tables = _on_disk(files, cache or default_cache(), key, memory_gb)
    else:
        fields = {name: torch.zeros(shape, dtype=dtype) for name, shape, dtype in files.tables()}
        bad = _filled(files, fields)
        tables = Tables({name: table[: len(records) - len(bad)] for name, table in fields.items()}, bad)
    if not tables.bad:
        _shared[key] = tables
    return tables


def default_cache() -> Path:
    """Returns the folder for decoded files in the cache directory of the user."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "mm-envs"


def _key(digests: Sequence[Mapping[str, str]], forms: Mapping[str, Form]) -> str:
    text = json.dumps([_FORMAT, {name: repr(form) for name, form in forms.items()}], sort_keys=True)
    digest = hashlib.sha256(text.encode())
    for files in digests:
        digest.update(json.dumps(files, sort_keys=True).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Files:
    """The files of all items; the arguments of ``decoded``."""

    records: Sequence[Record]
    digests: Sequence[Mapping[str, str]]
    forms: Mapping[str, Form]
    fault: Callable[[int, str], None]

    @property
    def size(self) -> int:
        """Bytes of all tables."""
        return len(self.records) * sum(form.row_bytes for form in self.forms.values())

    def tables(self) -> Iterator[tuple[str, tuple[int, ...], torch.dtype]]:
        """Yields name, shape and type of every table."""
        for name, form in self.forms.items():
            yield name, (len(self.records), *form.shape), form.dtype
        if "audio" in self.forms:
            yield "audio_length", (len(self.records), 1), torch.int64

    def report(self, row: int, error: object) -> None:
        """Reports the fault of an item."""
        self.fault(row, f"{self.records[row].location}: {error}")


class _Budget:
    """Memory of which threads take parts; a thread waits while too little is left."""

    def __init__(self, size: int) -> None:
        self.size = self.left = size
        self._changed = Condition()

    @contextmanager
    def part(self, size: int) -> Iterator[None]:
        """Waits for a part, of a larger request the whole, and gives it back at the end of the block."""
        size = min(size, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self.left >= size)
            self.left -= size
        try:
            yield
        finally:
            with self._changed:
                self.left += size
                self._changed.notify_all()


def _filled(files: _Files, fields: Mapping[str, Tensor]) -> list[int]:
    """Writes every file into its rows, closes the gaps of bad rows, and returns these."""
    jobs: dict[tuple[str, str], list[int]] = {}  # equal files are decoded once
    for row, digests in enumerate(files.digests):
        for name, digest in digests.items():
            jobs.setdefault((name, digest), []).append(row)
    budget = _Budget(_AT_ONCE)

    def decode(job: tuple[tuple[str, str], list[int]]) -> None:
        (name, _), rows = job
        media, form = files.records[rows[0]].media[name], files.forms[name]
        with budget.part(_needed(media, form)):
            value, length = form.decode(media)
        for row in rows:
            fields[name][row] = value
            if name == "audio":
                fields["audio_length"][row] = length

    bad: set[int] = set()
    todo = list(jobs.items())
    for (_, rows), result in zip(todo, in_threads(decode, todo), strict=True):
        if isinstance(result, Exception):
            for row in rows:
                if row not in bad:
                    files.report(row, result)
            bad.update(rows)
    kept = torch.tensor([row for row in range(len(files.records)) if row not in bad], dtype=torch.int64)
    if bad:
        for table in fields.values():
            for start in range(0, len(kept), 256):
                part = kept[start : start + 256]
                table[start : start + len(part)] = table[part]
    return sorted(bad)


def _needed(media: Media, form: Form) -> int:
    """Estimates the bytes in memory while a file is decoded."""
    try:
        size = media.stat().st_size if isinstance(media, Path) else media.nbytes
    except OSError:
        size = 0  # decoding reports the fault
    return size * (1 + _PACKED) + form.row_bytes


# On disk ----------------------------------------------------------------------------------------------------


def _on_disk(files: _Files, cache: Path, key: str, memory_gb: float) -> Tables:
    """Returns tables in files of the cache, written to a temporary folder that is renamed when complete."""
    target = cache / key[:32]
    if target.is_dir():
        tables = _mapped(target, files)
        for row in tables.bad:
            files.report(row, _why(files.records[row], files.forms))
        return tables
    # Not by tempfile, whose folders no other user may read: several users can share a cache.
    work = cache / f"{key[:32]}.{uuid4().hex}.part"
    try:
        _make_room(cache, files.size, memory_gb)
        work.mkdir()
        fields = {name: _new(work / f"{name}.npy", shape, dtype) for name, shape, dtype in files.tables()}
        bad = _filled(files, fields)
        del fields
        np.save(work / "bad.npy", np.array(bad, np.int64))
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():  # else another process has written the same first
                raise
    except OSError as error:
        raise ValueError(
            f"cache={str(cache)!r} cannot be written to ({error.strerror}): name another folder, or give "
            f"memory_gb of {files.size / _GB:.2g} or more"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _mapped(target, files)


def _make_room(cache: Path, size: int, memory_gb: float) -> None:
    """Removes what killed processes left; refuses what the disk cannot hold."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob("*.part"):
        with suppress(FileNotFoundError):  # another process removed it
            if time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left, ignore_errors=True)
    free = shutil.disk_usage(cache).free
    if size > free:
        raise ValueError(
            f"decoded, this folder takes {_readable(size)}, more than memory_gb={memory_gb:g} and than the "
            f"{_readable(free)} that are free in {cache}: lower size, frames or seconds, or name a folder "
            "on a larger disk with cache="
        )


def _readable(size: float) -> str:
    return f"{size / _GB:.1f} GB" if size >= _GB else f"{size / 1e6:.1f} MB"


def _new(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    kind = {torch.float32: np.float32, torch.uint8: np.uint8, torch.int64: np.int64}[dtype]
    table = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    _reserve(path)
    return torch.from_numpy(table)


def _reserve(path: Path) -> None:
    """Allocates a file on the disk: writing to a mapped file on a full disk crashes the process."""
    if hasattr(os, "posix_fallocate") and (size := path.stat().st_size):
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some file systems cannot
                raise


def _mapped(folder: Path, files: _Files) -> Tables:
    try:
        bad = np.load(folder / "bad.npy").tolist()
        fields = {}
        for name, _, _ in files.tables():
            # Copy on write: torch requires writable memory, and the file must not change.
            table = np.load(folder / f"{name}.npy", mmap_mode="c")
            fields[name] = torch.from_numpy(table)[: len(table) - len(bad)]
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{folder} is damaged ({error}): remove it, it is made again") from None
    return Tables(fields, bad, folder)


def _why(record: Record, forms: Mapping[str, Form]) -> str:
    for name, form in forms.items():
        try:
            if name in record.media:
                form.decode(record.media[name])
        except (ValueError, OSError) as error:
            return str(error)
    return "it could not be decoded when the cache was written"
