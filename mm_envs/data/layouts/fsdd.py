"""Free Spoken Digit Dataset: ``recordings/{digit}_{speaker}_{index}.wav``.

Jackson, Souza, Flaks, Pan, Nicolas and Thite, github.com/Jakobovski/free-spoken-digit-dataset: people saying
the English digits, 8 kHz. Its README makes the recordings with index 0 to 4 the official test set.
"""

from __future__ import annotations

import re
from pathlib import Path

from mm_envs.data.layouts.files import listed, relative
from mm_envs.data.layouts.reading import Gatherer
from mm_envs.data.records import Record, Source

_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]{1,6})\.wav")
_PLACES = ("recordings", ".")
_TEST = range(5)


def recognise(root: Path) -> str | None:
    """Whether most of the sounds are called as here."""
    return "spoken digits of the Free Spoken Digit Dataset" if _recordings(root) else None


def read(root: Path, on_error: str) -> Source:
    """Sounds with ``label`` the digit, in the official splits "train" and "test".

    Records have the columns ``digit``, ``speaker`` and ``index``. For agents that are tried on speakers they
    never heard, split by hash with ``speaker`` as the group instead.

    Raises:
        ValueError: A name does not fit.
        FileNotFoundError: There are no recordings.
    """
    paths, gatherer = _recordings(root), Gatherer(on_error)
    if not paths:
        raise FileNotFoundError(f"{root}: no recordings/{{digit}}_{{speaker}}_{{index}}.wav: put them there")
    for path in paths:
        with gatherer.item():
            gatherer.records.append(_record(path, root))
    gatherer.records.sort(key=lambda record: tuple(record.columns.values()))
    return gatherer.source("fsdd", root, "spoken digits of the Free Spoken Digit Dataset")


def _record(path: Path, root: Path) -> Record:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path}: not called {{digit}}_{{speaker}}_{{index}}.wav: rename it")
    index = int(match["index"])
    columns = {"digit": match["digit"], "speaker": match["speaker"], "index": index}
    split = "test" if index in _TEST else "train"
    return Record(relative(path, root), {"audio": path}, {"label": match["digit"]}, split, columns)


def _recordings(root: Path) -> list[Path]:
    """The sounds, where most of them are called as they shall."""
    for place in _PLACES:
        found = listed(root, place, [".wav"])
        if 2 * sum(_NAME.fullmatch(path.name) is not None for path in found) > len(found):
            return found
    return []
