"""The columns of a table: which field each one is, and its values in one form.

``file_name`` and ``<kind>_file_name`` hold files, as in Hugging Face; every other column is a value.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from os.path import splitext
from pathlib import Path
from typing import Any
from unicodedata import normalize

from mm_envs.data.media import safe_path
from mm_envs.data.records import MEDIA_FIELDS, Record
from mm_envs.names import check_one_of

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
_SEPARATORS = re.compile("[;|]")  # without the space around them: a million spaces would take it hours

Mapped = Mapping[str, "str | Sequence[str]"]


def split_name(value: Any) -> str | None:
    """Returns the split of a name such as "Val"; None if it is no usual name of a split."""
    return SPLIT_NAMES.get(str(value).strip().lower())


def composed(text: str) -> str:
    """Returns a text in the Unicode form NFC, so that texts that look the same are equal.

    Not for names of files: file systems distinguish the forms.
    """
    return normalize("NFC", text)


def plain(column: str, value: Any) -> str | None:
    """Returns a text or a whole number as text, None if it is missing; refuses all else."""
    return next(map(composed, _entries(column, value, "")), None)


def kind_of(name: str) -> str:
    """Returns the field of a file by the ending of its name (a GIF is a video); refuses unknown endings."""
    ending = splitext(name)[1].lower()
    if ending not in KINDS:
        raise ValueError(
            f"file {name!r} is neither picture, sound nor video by its ending {ending!r}: convert it "
            f"(to {', '.join(KINDS)}), or name its kind with a column image_file_name, audio_file_name or "
            "video_file_name"
        )
    return KINDS[ending]


class Columns:
    """The fields of columns, by their names or by a mapping.

    Args:
        mapped: Field -> the column (or columns) that hold it, where they have another name.

    Example:
        >>> columns = Columns({"label": "species"})
        >>> columns.values({"species": "tern", "caption": "a bird", "caption_2": "a tern"})
        {'label': 'tern', 'captions': ['a bird', 'a tern']}
    """

    def __init__(self, mapped: Mapped | None = None) -> None:
        self.mapped = {
            field: [names] if isinstance(names, str) else list(names)
            for field, names in (mapped or {}).items()
        }
        for field in self.mapped:
            check_one_of("columns", field, FIELDS)
        self.taken = {name for names in self.mapped.values() for name in names}
        self._plans: dict[tuple[str, ...], tuple[list[tuple[str, str, bool]], list[tuple[str, str]]]] = {}

    def record(self, location: str, folder: Path, row: Mapping[str, Any]) -> Record:
        """Returns the item of one row of a table.

        Raises:
            ValueError: A value does not fit its column; the message does not name the location.
        """
        media: dict[str, Path] = {}
        for field, column, many in self._plan(row)[0]:
            for name in _entries(column, row[column], "answers" if many else "file"):
                kind = field or kind_of(name)
                if kind in media:
                    raise ValueError(f"there are two files for {kind}: give each item one")
                media[kind] = safe_path(folder, name)
        split = split_name(row["split"]) if "split" in row and "split" not in self.taken else None
        return Record(location, media, self.values(row), split, row)

    def values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of a row by field: strings, and lists of strings, in the Unicode form NFC.

        Raises:
            ValueError: A value is of another kind, or a column that was named is missing.
        """
        made: dict[str, Any] = {}
        for field, column in self._plan(row)[1]:
            entries = [composed(entry) for entry in _entries(column, row[column], field)]
            if entries and field in MANY:
                made.setdefault(field, []).extend(entries)
            elif entries:
                made[field] = entries[0]
        if "answers" in made and "answer" not in made:
            # The most frequent answer; of several the first.
            made["answer"] = Counter(made["answers"]).most_common(1)[0][0]
        return made

    def named(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of the mapped fields only; all their columns must exist."""
        missing = [name for name in self.taken if name not in row]
        if missing:
            raise ValueError(f"there is no column {missing[0]!r}: it has {', '.join(row)}")
        return self.values({name: row[name] for name in row if name in self.taken})

    def _plan(self, row: Mapping[str, Any]) -> tuple[list[tuple[str, str, bool]], list[tuple[str, str]]]:
        """The used columns: (field or "" for any kind, column, list) and (field, column)."""
        names = tuple(row)
        if (plan := self._plans.get(names)) is not None:
            return plan
        for field, wanted in self.mapped.items():
            for name in wanted:
                if name not in names:
                    raise ValueError(f"there is no column {name!r} for {field}: it has {', '.join(names)}")
        free = [name for name in names if name not in self.taken]
        files = [
            (field, name, False)
            for field in MEDIA_FIELDS
            for name in self.mapped.get(field, [plain for plain in free if plain == f"{field}_file_name"])
        ]
        files += [("", name, name == "file_names") for name in free if name in ("file_name", "file_names")]
        values = [
            (field, name)
            for field in (*ONE, *MANY)
            for name in self.mapped.get(field, [plain for plain in free if _is(field, plain)])
        ]
        self._plans[names] = files, values
        return files, values


def _is(field: str, name: str) -> bool:
    return bool(_CAPTION.fullmatch(name)) if field == "captions" else field == name


def _entries(column: str, value: Any, field: str) -> list[str]:
    """The strings in a value; none if it is missing."""
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
    """The list in one cell of a table: JSON, or (except captions) separated by ; or |."""
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
