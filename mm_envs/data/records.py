"""Items of a folder before they are decoded: what every published layout is turned into.

A reader of a layout gives a ``Source``: one ``Record`` for each item, with the files to decode and the plain
values beside them. ``mm_envs.data.folder.Folder`` makes a dataset of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Pictures that a layout keeps in one large array (IDX) are handed over decoded, (height, width[, 3]) uint8.
Media: TypeAlias = "Path | NDArray[np.uint8]"

MEDIA_FIELDS = ("image", "video", "audio")


@dataclass(frozen=True)
class Record:
    """One item, not yet decoded.

    Attributes:
        place: Where it is said, for messages: ``"metadata.jsonl, line 17"``.
        media: Field ("image", "video" or "audio") -> the file, or the picture itself.
        values: The plain values beside it, by field: ``label``, ``text``, ``question``, ``answer`` and
            ``kind`` are strings; ``captions``, ``answers`` and ``facts`` lists of strings; ``boxes`` a list
            of (class name, left, top, right, bottom) in pixels.
        split: "train", "validation" or "test", where the source says it.
        columns: All values as they stand in the source, by their own names: any of them may be used for
            groups and splits.
    """

    place: str
    media: Mapping[str, Media]
    values: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What a reader found in a folder.

    Attributes:
        layout: The name of the layout.
        root: The folder; every file lies in it.
        records: The items, in the order of the source.
        skipped: One sentence for each item that was left out, with ``on_error="skip"``.
        says: What was recognised, in a sentence for people.
        group: The column whose values shall never lie in two splits, where the layout knows one: the picture
            that several questions are about, the recording that several clips were cut from.
    """

    layout: str
    root: Path
    records: Sequence[Record]
    skipped: Sequence[str] = ()
    says: str = ""
    group: str | None = None
