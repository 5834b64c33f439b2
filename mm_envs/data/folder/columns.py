"""Which column of a table is what, and its values in one form.

The names are those of the Hugging Face ``imagefolder`` and ``audiofolder``: files stand in ``file_name`` or
in ``<kind>_file_name``; every other column is a value.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mm_envs.data.media import safe_path
from mm_envs.data.records import MEDIA_FIELDS, Record
from mm_envs.names import one_of

ONE = ("label", "text", "question", "answer", "kind")
MANY = ("captions", "answers", "facts")
FIELDS = (*MEDIA_FIELDS, *ONE, *MANY)

KINDS = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp"), "image"),
    **dict.fromkeys((".gif", ".apng"), "video"),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".oga", ".mp3"), "audio"),
}
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_CAPTION = re.compile(r"(captions?|caption_\d+)")
_SEPARATORS = re.compile(r"\s*[;|]\s*")

Mapped = Mapping[str, "str | Sequence[str]"]


def split_name(value: Any) -> str | None:
    """The split that a value names, by the names in use; None for anything else.

    Example:
        >>> split_name("Val"), split_name("fold 3")
        ('validation', None)
    """
    return SPLIT_NAMES.get(str(value).strip().lower())


def kind_of(name: str) -> str:
    """The field that holds a file, by the ending of its name; a GIF is a video.

    Raises:
        ValueError: The ending is not known.

    Example:
        >>> kind_of("birds/tern.JPG")
        'image'
    """
    ending = PurePosixPath(name).suffix.lower()
    if ending not in KINDS:
        raise ValueError(
            f"file {name!r} is neither picture, sound nor video by its ending {ending!r}: convert it "
            f"(to {', '.join(KINDS)}), or name its kind with a column image_file_name, audio_file_name or "
            "video_file_name"
        )
    return KINDS[ending]


def check_columns(columns: Mapped) -> None:
    """Refuses a mapping from fields to columns that names no field of ours.

    Raises:
        ValueError: A field is unknown.
    """
    for name in columns:
        if name not in FIELDS:
            raise ValueError(one_of("columns", name, FIELDS))


def record(place: str, folder: Path, row: Mapping[str, Any], columns: Mapped) -> Record:
    """The item of one row of a table.

    Args:
        place: Where the row stands, for messages.
        folder: What the names of files are relative to.
        row: The values by column.
        columns: Field -> the column (or columns) that hold it, where they are called otherwise.

    Raises:
        ValueError: A value cannot be what its column says; the message does not name the place.
    """
    taken = {name for value in columns.values() for name in _listed(value)}
    media: dict[str, Path] = {}
    for field, name in _files(row, columns, taken):
        if field in media:
            raise ValueError(f"there are two files for {field}: give each item one")
        media[field] = safe_path(folder, name)
    split = split_name(row["split"]) if "split" in row and "split" not in taken else None
    return Record(place, media, values(row, columns), split, row)


def values(row: Mapping[str, Any], columns: Mapped) -> dict[str, Any]:
    """The values of a row by our fields: strings, and lists of strings.

    Raises:
        ValueError: A value is of another kind, or a column that was named is missing.
    """
    taken = {name for value in columns.values() for name in _listed(value)}
    found = {
        field: [name for name in row if name not in taken and _is(field, name)]
        for field in (*ONE, *MANY)
        if field not in columns
    }
    found |= {field: _listed(columns[field]) for field in (*ONE, *MANY) if field in columns}
    made: dict[str, Any] = {}
    for field, names in found.items():
        for name in names:
            if name not in row:
                raise ValueError(f"there is no column {name!r} for {field}: it has {', '.join(row)}")
        entries = [entry for name in names for entry in _entries(name, row[name], field)]
        if entries:
            made[field] = entries if field in MANY else entries[0]
    if "answers" in made and "answer" not in made:
        # The answer that most people gave; of several the one that was given first.
        made["answer"] = Counter(made["answers"]).most_common(1)[0][0]
    return made


def _is(field: str, name: str) -> bool:
    return bool(_CAPTION.fullmatch(name)) if field == "captions" else field == name


def _files(row: Mapping[str, Any], columns: Mapped, taken: set[str]) -> list[tuple[str, str]]:
    """Field and name of every file of a row."""
    found = []
    for field in MEDIA_FIELDS:
        plain = f"{field}_file_name"
        names = _listed(columns.get(field, [plain] if plain in row and plain not in taken else []))
        for column in names:
            if column not in row:
                raise ValueError(f"there is no column {column!r} for {field}: it has {', '.join(row)}")
            found += [(field, name) for name in _entries(column, row[column], field)]
    for column in ("file_name", "file_names"):
        if column in row and column not in taken:
            many = "answers" if column == "file_names" else "file"
            found += [(kind_of(name), name) for name in _entries(column, row[column], many)]
    return found


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _entries(column: str, value: Any, field: str) -> list[str]:
    """The strings in a value; none where it is missing."""
    if field in MANY and isinstance(value, str):
        value = _parts(column, value, field)
    if isinstance(value, list) and field in MANY:
        return [entry for part in value for entry in _entries(column, part, "entry")]
    if isinstance(value, bool | int):
        return [str(value).lower() if isinstance(value, bool) else str(value)]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if not isinstance(value, str):
        kind = "a list" if isinstance(value, list) else f"{type(value).__name__} {value!r:.40}"
        raise ValueError(f"column {column!r} holds {kind}: give text or a whole number")
    return [value.strip()]


def _parts(column: str, value: str, field: str) -> list[Any]:
    """A list that stands in one cell of a table: as JSON, or (but for captions) parted by ; or |."""
    if value.lstrip().startswith("["):
        try:
            parts = json.loads(value)
        except (ValueError, RecursionError):
            parts = None
        if not isinstance(parts, list):
            raise ValueError(
                f"column {column!r} holds {value!r:.40}, which is no JSON list: close its brackets"
            )
        return parts
    return [value] if field == "captions" else _SEPARATORS.split(value)
