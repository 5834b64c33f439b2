"""ESC-10 as first published: ``NNN - Class name/{fold}-{source}-{take}.ogg``.

K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015: ten classes of sounds
around us, five seconds each. Clips cut from one recording are in one fold.
"""

from __future__ import annotations

import re
from pathlib import Path

from mm_envs.data.layouts.files import folders, listed, relative
from mm_envs.data.layouts.reading import Gatherer
from mm_envs.data.records import Record, Source

_CLASS = re.compile(r"[0-9]{3} - (?P<name>.+)")
_CLIP = re.compile(r"(?P<fold>[0-9])-(?P<source>[0-9]+)-(?P<take>[A-Z])\.(ogg|wav)")


def recognise(root: Path) -> str | None:
    """How many numbered classes of sounds there are."""
    found = sum(any(_CLIP.fullmatch(path.name) for path in listed(folder)) for folder in _classes(root))
    return f"environmental sounds of ESC-10 in {found} numbered classes" if found else None


def read(root: Path, on_error: str) -> Source:
    """Sounds with ``label`` the class in lower case.

    Records have the columns ``class``, ``fold``, ``source`` (the recording that a clip was cut from) and
    ``take``; by default the clips of one recording stay in one split.

    Raises:
        ValueError: A name does not fit.
        FileNotFoundError: There are no sounds.
    """
    gatherer = Gatherer(on_error)
    for folder in _classes(root):
        for path in listed(folder, suffixes=[".ogg", ".wav"]):
            with gatherer.item():
                gatherer.records.append(_record(path, root))
    if not gatherer.records and not gatherer.skipped:
        raise FileNotFoundError(
            f"{root}: no 'NNN - Class name/{{fold}}-{{source}}-{{take}}.ogg': put them there"
        )
    return gatherer.source("esc10", root, recognise(root) or "environmental sounds", group="source")


def _record(path: Path, root: Path) -> Record:
    clip, kind = _CLIP.fullmatch(path.name), _CLASS.fullmatch(path.parent.name)
    if clip is None or kind is None:
        raise ValueError(f"{path}: not called {{fold}}-{{source}}-{{take}}.ogg, as 1-100032-A.ogg: rename it")
    name = kind["name"].lower()
    columns = {"class": name, "fold": clip["fold"], "source": clip["source"], "take": clip["take"]}
    return Record(relative(path, root), {"audio": path}, {"label": name}, None, columns)


def _classes(root: Path) -> list[Path]:
    return [path for path in folders(root) if _CLASS.fullmatch(path.name)]
