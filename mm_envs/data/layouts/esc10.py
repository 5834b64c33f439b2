"""ESC-10 as first published: ``NNN - Class name/{fold}-{source}-{take}.ogg``.

K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015: ten classes of
environmental sounds, five seconds each. Clips of one recording are in one fold.
"""

from __future__ import annotations

import re
from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.files import folders, listed, relative
from mm_envs.data.records import Record

SIGN = "'001 - Dog bark/*.ogg'"
GROUP = "source"

_CLASS = re.compile(r"[0-9]{3} - (?P<name>.+)")
_CLIP = re.compile(r"(?P<fold>[0-9])-(?P<source>[0-9]+)-(?P<take>[A-Z])\.(ogg|wav)")


def recognise(root: Path) -> str | None:
    """Counts the numbered classes of sounds."""
    found = sum(any(_CLIP.fullmatch(path.name) for path in listed(folder)) for folder in _classes(root))
    return f"environmental sounds of ESC-10 in {found} numbered classes" if found else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads sounds with ``label`` the class in lower case.

    Columns: ``class``, ``fold``, ``source`` (the recording of a clip) and ``take``.
    """
    records = []
    for folder in _classes(root):
        for path in listed(folder, suffixes=[".ogg", ".wav"]):
            with faults:
                records.append(_record(path, root))
    return records


def _record(path: Path, root: Path) -> Record:
    clip, kind = _CLIP.fullmatch(path.name), _CLASS.fullmatch(path.parent.name)
    if clip is None or kind is None:
        raise ValueError(f"{path}: not called {{fold}}-{{source}}-{{take}}.ogg, as 1-100032-A.ogg: rename it")
    columns = {"class": kind["name"].lower(), **clip.groupdict()}
    return Record(relative(path, root), {"audio": path}, {"label": columns["class"]}, None, columns)


def _classes(root: Path) -> list[Path]:
    return [path for path in folders(root) if _CLASS.fullmatch(path.name)]
