"""ESC-50: ``meta/esc50.csv`` with the sounds in ``audio/``.

K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015: fifty classes of
environmental sounds, five seconds each, in five folds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.files import Files
from mm_envs.data.layouts.metadata import read_rows
from mm_envs.data.records import Record

SIGN = "meta/esc50.csv"
GROUP = "src_file"


def recognise(root: Path) -> str | None:
    """Checks whether the table exists."""
    return "environmental sounds of ESC-50" if (root / SIGN).is_file() else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads sounds with ``label`` the category, its words separated by spaces.

    Columns: those of the table (``fold``, ``target``, ``category``, ``esc10``, ``src_file``, ``take``).
    """
    if recognise(root) is None:
        return []
    records, sounds = [], Files(root, ["audio"])
    try:
        rows = list(read_rows(root / SIGN))
    except ValueError as error:
        raise ValueError(f"{(root / SIGN).parent / str(error)}") from None
    for line, row in rows:
        with faults:
            records.append(_record(f"{SIGN}, line {line}", row, sounds))
    return records


def _record(location: str, row: dict[str, Any] | str, sounds: Files) -> Record:
    if isinstance(row, str):
        raise ValueError(f"{sounds.root / location}: {row}")
    for key in ("filename", "category"):
        if not row.get(key):
            raise ValueError(f"{sounds.root / location}: {key!r} is missing: add it")
    values = {"label": row["category"].replace("_", " ")}
    return Record(location, {"audio": sounds.take(row["filename"], location)}, values, None, row)
