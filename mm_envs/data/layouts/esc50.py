"""ESC-50: ``meta/esc50.csv`` with the sounds in ``audio/``.

K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015: fifty classes of
sounds around us, five seconds each, in five folds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mm_envs.data.folder.manifest import Row, read_rows
from mm_envs.data.layouts.files import Files, relative
from mm_envs.data.layouts.reading import Gatherer
from mm_envs.data.records import Record, Source

_TABLE = Path("meta", "esc50.csv")
_NEEDED = ("filename", "category")


def recognise(root: Path) -> str | None:
    """Whether the table is there."""
    return "environmental sounds of ESC-50" if (root / _TABLE).is_file() else None


def read(root: Path, on_error: str) -> Source:
    """Sounds with ``label`` the category, its words parted by spaces.

    Records have the columns of the table (``fold``, ``target``, ``category``, ``esc10``, ``src_file``,
    ``take``); by default the clips of one recording (``src_file``) stay in one split.

    Raises:
        ValueError: The table cannot be read, or a value is missing.
        FileNotFoundError: The table or a sound is missing.
    """
    path, gatherer = root / _TABLE, Gatherer(on_error)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: put it there")
    sounds, name = Files(root, ["audio"]), relative(path, root)
    for line, row in _rows(path):
        with gatherer.item():
            gatherer.records.append(_record(f"{name}, line {line}", row, sounds))
    group = "src_file" if gatherer.records and "src_file" in gatherer.records[0].columns else None
    return gatherer.source("esc50", root, "environmental sounds of ESC-50", group)


def _rows(path: Path) -> list[Row]:
    try:
        return list(read_rows(path))
    except ValueError as error:
        raise ValueError(f"{path.parent / str(error)}") from None


def _record(place: str, row: dict[str, Any] | str, sounds: Files) -> Record:
    where = sounds.root / place
    if isinstance(row, str):
        raise ValueError(f"{where}: {row}")
    empty = [key for key in _NEEDED if not row.get(key)]
    if empty:
        raise ValueError(f"{where}: {empty[0]!r} is missing: add it")
    values = {"label": row["category"].replace("_", " ")}
    return Record(place, {"audio": sounds.take(row["filename"], place)}, values, None, row)
