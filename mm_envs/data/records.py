"""Items of a folder before they are decoded: what the reader of every published layout returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Layouts with all pictures in one array (IDX) pass decoded pictures, (height, width[, 3]) uint8.
Media: TypeAlias = "Path | NDArray[np.uint8]"

MEDIA_FIELDS = ("image", "video", "audio")


@dataclass(frozen=True)
class Record:
    """One item, not yet decoded.

    Attributes:
        location: Where the item is defined, for messages: ``"metadata.jsonl, line 17"``.
        media: Field ("image", "video" or "audio") -> the file, or the picture itself.
        values: Plain values by field: ``label``, ``text``, ``question``, ``answer`` and ``kind`` are strings;
            ``captions``, ``answers`` and ``facts`` lists of strings; ``boxes`` a list of (class name, left,
            top, right, bottom) in pixels.
        split: "train", "validation" or "test"; None if the source names no split.
        columns: All values of the source by their own names; any of them can define groups and splits.
    """

    location: str
    media: Mapping[str, Media]
    values: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """The items of a folder.

    Attributes:
        layout: The name of the layout.
        root: The folder; it contains every file.
        records: The items, in the order of the source.
        skipped: One sentence for each item that was left out, with ``on_error="skip"``.
        says: What was recognised, in one sentence.
        group: The column whose values must not be in two splits, such as the recording of several clips.
    """

    layout: str
    root: Path
    records: Sequence[Record]
    skipped: Sequence[str] = ()
    says: str = ""
    group: str | None = None
