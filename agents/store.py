"""A folder of checkpoints that is readable whenever a process is killed.

A checkpoint is a JSON file that names files of tensors with their sizes and digests. Every file is written
under another name, flushed to the disk and renamed; the JSON file comes last, so a checkpoint exists when all
of its files do. The two newest are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

FORMAT = 1
_KEPT = 2
_PARTIAL = ".partial"
_FILE = re.compile(r"(step|replay-\d+)-(\d+)\.safetensors")
_NAME = re.compile(r"step-(\d+)\.json")


@dataclass(frozen=True)
class StoredFile:
    """A file of tensors that a checkpoint needs: its name in the folder, its size in bytes and digest."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Stored:
    """A checkpoint that is whole.

    Attributes:
        step: Environment steps that were done.
        values: Its JSON values.
        tensors: The file of its tensors.
        files: Further files, which later checkpoints share, oldest first.
    """

    folder: Path
    step: int
    values: dict[str, Any]
    tensors: StoredFile
    files: Sequence[StoredFile] = field(default_factory=tuple)

    def load(self) -> dict[str, Tensor]:
        """The tensors, by name."""
        return load_tensors(self.folder / self.tensors.name)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> StoredFile:
    """Writes a file of tensors (on any device) under another name, flushes and renames it."""
    from safetensors.torch import save_file

    partial = path.with_name(path.name + _PARTIAL)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, str(partial))
    stored = StoredFile(path.name, partial.stat().st_size, digest_of(partial))
    _put(partial, path)
    return stored


def load_tensors(path: Path, cure: str = "take an earlier checkpoint") -> dict[str, Tensor]:
    """The tensors of a file, by name.

    Raises:
        ValueError: It is no file of tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): {cure}") from None


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file under another name, flushes and renames it."""
    partial = path.with_name(path.name + _PARTIAL)
    partial.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
    _put(partial, path)


def write_checkpoint(checkpoint: Stored) -> None:
    """Writes the JSON file of a checkpoint whose other files are there; then the older ones may go."""
    folder = checkpoint.folder
    content = {
        "format": FORMAT,
        "step": checkpoint.step,
        "files": {"tensors": vars(checkpoint.tensors), "shared": [vars(one) for one in checkpoint.files]},
        **checkpoint.values,
    }
    _sync(folder)
    write_json(folder / f"step-{checkpoint.step:012}.json", content)
    _sync(folder)
    _clean(folder)


def newest(folder: str | Path) -> Stored:
    """The newest checkpoint of a folder that is whole; a damaged one is passed over with a warning.

    Raises:
        FileNotFoundError: The folder holds no checkpoint.
        ValueError: All of them are damaged, or of another format.
    """
    folder, faults = Path(folder), []
    for path in _names(folder):
        try:
            checkpoint = _read(path)
        except (OSError, ValueError) as error:
            faults.append(str(error))
            continue
        for fault in faults:
            warnings.warn(f"{fault}; the training goes on from step {checkpoint.step:,}", stacklevel=2)
        return checkpoint
    if faults:
        raise ValueError(f"no checkpoint in {folder} is whole: {faults[0]}; train again")
    raise FileNotFoundError(f"{folder} holds no checkpoint: give the folder of a training that has begun")


def forget_newer(checkpoint: Stored) -> None:
    """Removes the checkpoints that come after one, since the training goes on from it."""
    for path in _names(checkpoint.folder):
        if _step(path) > checkpoint.step:
            path.unlink()


def _names(folder: Path) -> list[Path]:
    """The JSON files of checkpoints, newest first."""
    there = folder.iterdir() if folder.is_dir() else iter(())
    return sorted((path for path in there if _NAME.fullmatch(path.name)), key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def _read(path: Path) -> Stored:
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError(f"{path} is of another format")
        files, step = values.pop("files"), int(values.pop("step"))
        tensors = _file(path, files["tensors"])
        shared = tuple(_file(path, one) for one in files["shared"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from None
    checkpoint = Stored(path.parent, step, values, tensors, shared)
    for one in (tensors, *shared):
        there = path.with_name(one.name)
        if not there.is_file() or there.stat().st_size != one.size or digest_of(there) != one.sha256:
            raise ValueError(f"{there} is not the file that {path.name} was written with")
    return checkpoint


def _file(path: Path, entry: Mapping[str, Any]) -> StoredFile:
    name = entry["name"]
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise ValueError(f"{name!r} is no file of a checkpoint")
    return StoredFile(name, int(entry["size"]), str(entry["sha256"]))


def _clean(folder: Path) -> None:
    """Removes all but the newest checkpoints, and the files that none of those needs."""
    names = _names(folder)
    for path in names[_KEPT:]:
        path.unlink()
    needed: set[str] = set()
    for path in names[:_KEPT]:
        try:
            files = json.loads(path.read_text(encoding="utf-8"))["files"]
            needed |= {one["name"] for one in (files["tensors"], *files["shared"])}
        except (KeyError, TypeError, ValueError):
            continue
    for path in folder.iterdir():
        ours = _FILE.fullmatch(path.name) or path.name.endswith(_PARTIAL)
        if ours and path.name not in needed:
            path.unlink()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _put(partial: Path, path: Path) -> None:
    """Gives a written file its name, once it is on the disk."""
    with partial.open("r+b") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def _sync(folder: Path) -> None:
    """Forces renames within a folder to the disk, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
