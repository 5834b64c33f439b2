"""Free Spoken Digit Dataset: ``recordings/{digit}_{speaker}_{index}.wav``.

Jackson, Souza, Flaks, Pan, Nicolas and Thite, github.com/Jakobovski/free-spoken-digit-dataset: English
digits, 8 kHz. Its README makes the recordings with index 0 to 4 the official test set.
"""

from __future__ import annotations

import re
from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.files import listed, relative
from mm_envs.data.records import Record

SIGN = "recordings/{digit}_{speaker}_{index}.wav"
GROUP = None

_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]{1,6})\.wav")
_TEST = range(5)


def recognise(root: Path) -> str | None:
    """Checks whether most of the sounds have such names."""
    return "spoken digits of the Free Spoken Digit Dataset" if _recordings(root) else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads sounds with ``label`` the digit, in the official splits "train" and "test".

    Columns: ``digit``, ``speaker`` and ``index``. To test agents on new speakers, split by hash with
    ``speaker`` as the group instead.
    """
    records = []
    for path in _recordings(root):
        with faults:
            records.append(_record(path, root))
    return sorted(records, key=lambda record: tuple(record.columns.values()))


def _record(path: Path, root: Path) -> Record:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path}: not called {{digit}}_{{speaker}}_{{index}}.wav: rename it")
    columns = {**match.groupdict(), "index": int(match["index"])}
    split = "test" if columns["index"] in _TEST else "train"
    return Record(relative(path, root), {"audio": path}, {"label": match["digit"]}, split, columns)


def _recordings(root: Path) -> list[Path]:
    """The sounds of the first directory where most of them have such names."""
    for directory in ("recordings", "."):
        found = listed(root, directory, [".wav"])
        if 2 * sum(_NAME.fullmatch(path.name) is not None for path in found) > len(found):
            return found
    return []
