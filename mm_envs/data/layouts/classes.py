"""A directory for each class: ``{class}/*`` or ``{train,val,test}/{class}/*``."""

from __future__ import annotations

from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.columns import KINDS, composed, split_name
from mm_envs.data.layouts.files import folders, listed, relative
from mm_envs.data.records import Record

SIGN = "a directory of files for each of several classes"
GROUP = None


def recognise(root: Path) -> str | None:
    """Counts the classes, if there are two or more."""
    classes = {composed(folder.name) for folder, _ in _directories(root) if listed(folder, suffixes=KINDS)}
    return f"a directory of files for each of {len(classes)} classes" if len(classes) > 1 else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads every picture, sound or GIF in the directory of a class as ``label``, the name of the directory.

    torchvision's ImageFolder takes the same directories, pictures only. Columns: ``class`` and ``file``.
    """
    records = []
    for folder, split in _directories(root):
        for path in listed(folder, suffixes=KINDS):
            columns = {"class": folder.name, "file": relative(path, root)}
            media, values = {KINDS[path.suffix.lower()]: path}, {"label": composed(folder.name)}
            records.append(Record(columns["file"], media, values, split, columns))
    return records


def _directories(root: Path) -> list[tuple[Path, str | None]]:
    """The directories of the classes, each with its split."""
    splits = [(folder, split_name(folder.name)) for folder in folders(root)]
    below: list[tuple[Path, str | None]] = [
        (folder, split) for above, split in splits if split for folder in folders(above)
    ]
    if all(split for _, split in splits):
        return below  # files in train/ and test/ without a class: these are no names of classes
    return below or [(folder, None) for folder, _ in splits]
