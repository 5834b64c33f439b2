"""A directory for each class: ``{class}/*`` or ``{train,val,test}/{class}/*``."""

from __future__ import annotations

from pathlib import Path

from mm_envs.data.folder.columns import KINDS, composed, split_name
from mm_envs.data.layouts.files import folders, links_passed_over, listed, relative
from mm_envs.data.layouts.reading import Gatherer
from mm_envs.data.records import Record, Source


def recognise(root: Path) -> str | None:
    """How many classes there are, if there are two or more."""
    classes = {composed(folder.name) for folder, _ in _directories(root) if listed(folder, suffixes=KINDS)}
    return f"a directory of files for each of {len(classes)} classes" if len(classes) > 1 else None


def read(root: Path, on_error: str) -> Source:
    """Every picture, sound or GIF in the directory of a class, with ``label`` the name of the directory.

    torchvision's ImageFolder takes the same directories, pictures only.

    Records have the columns ``class`` and ``file``. Files of other kinds are passed over.

    Raises:
        FileNotFoundError: There is no directory with pictures or sounds.
    """
    gatherer = Gatherer(on_error)
    for folder, split in _directories(root):
        for path in listed(folder, suffixes=KINDS):
            columns = {"class": folder.name, "file": relative(path, root)}
            media = {KINDS[path.suffix.lower()]: path}
            gatherer.records.append(
                Record(columns["file"], media, {"label": composed(folder.name)}, split, columns)
            )
    if not gatherer.records:
        cure = links_passed_over(root) or "make one for each class"
        raise FileNotFoundError(f"{root}: no directory with pictures or sounds: {cure}")
    return gatherer.source("classes", root, recognise(root) or "files of one class")


def _directories(root: Path) -> list[tuple[Path, str | None]]:
    """The directories of the classes, each with the split that it lies in."""
    splits = [(folder, split_name(folder.name)) for folder in folders(root)]
    below: list[tuple[Path, str | None]] = [
        (folder, split) for above, split in splits if split for folder in folders(above)
    ]
    if all(split for _, split in splits):
        return below  # files in train/ and test/ without a class: these are no names of classes
    return below or [(folder, None) for folder, _ in splits]
