"""What the readers of layouts share: text, JSON and file names of strangers, refused in one sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mm_envs.data.records import Record, Source

# The questions of VQA v2, the largest file of all published layouts here, have 80 MB of text.
MAX_TEXT = 2**30

_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}

Kind = TypeVar("Kind", str, int, list, dict)


class Gatherer:
    """Collects the items of a source; a bad one is raised, or left out and counted.

    Args:
        on_error: "raise" or "skip".
    """

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.records: list[Record] = []
        self.skipped: list[str] = []

    def item(self) -> Gatherer:
        """Around all that makes one item: ``with gatherer.item():``."""
        return self

    def __enter__(self) -> None:
        """Nothing: what counts is how the item ends."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Counts what is wrong with the item, if that is to be skipped."""
        skips = self.on_error == "skip" and isinstance(error, (ValueError, FileNotFoundError))
        if skips:
            self.skipped.append(str(error))
        return skips

    def source(self, layout: str, root: Path, says: str, group: str | None = None) -> Source:
        """What was gathered."""
        return Source(layout, root, self.records, tuple(self.skipped), says, group)


_STRICT = Gatherer("raise")


@dataclass(frozen=True)
class Entry:
    """A JSON object of somebody else's file; takes values out of it, or says what is wrong with them.

    Attributes:
        root: The folder.
        place: Where the object stands, as in a ``Record``.
        values: The object.
    """

    root: Path
    place: str
    values: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, root: Path, place: str, value: object) -> Entry:
        """The entry of a value that has to be an object.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(value, dict):
            raise ValueError(
                f"{root / place}: {shown(value)} is not an object with names and values: mend it"
            )
        return cls(root, place, value)

    def get(self, key: str, kind: type[Kind]) -> Kind:
        """The value of a key.

        Raises:
            ValueError: There is none, it is of another kind, or it is text that cannot be written as UTF-8.
        """
        if key not in self.values:
            raise self.fault(f"{key!r} is missing: add it")
        value = self.values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.fault(f"{key}={shown(value)} is not {_KINDS[kind]}: mend it")
        if isinstance(value, str):
            self._check_text(key, value)
        return value

    def entries(self, key: str, gatherer: Gatherer | None = None) -> Iterator[Entry]:
        """A list of objects, one after the other.

        Args:
            key: Where the list is.
            gatherer: Counts what is no object; without one it is raised.

        Raises:
            ValueError: It is missing, or something else is in it.
        """
        for i, value in enumerate(self.get(key, list)):
            place, entry = f"{self.place}, {key}[{i}]", None
            with gatherer or _STRICT:
                entry = Entry.of(self.root, place, value)
            if entry is not None:
                yield entry

    def fault(self, what: str) -> ValueError:
        """The error that says what is wrong here."""
        return ValueError(f"{self.root / self.place}: {what}")

    def _check_text(self, key: str, value: str) -> None:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.fault(f"{key}={shown(value)} holds half a character: save it as UTF-8") from None


def shown(value: object) -> str:
    r"""A value in a message: on one line, and not longer than that.

    Example:
        >>> shown("two\nlines"), len(shown("x" * 1000)), shown([3, 4])
        ("'two\\nlines'", 60, 'a list of 2')
    """
    if isinstance(value, (list, dict)):
        return f"{_KINDS[type(value)]} of {len(value)}"
    said = ascii(value[:80]) if isinstance(value, str) else ascii(value)
    return said if len(said) <= 60 else f"{said[:57]}..."


def relative(path: Path, root: Path) -> str:
    """The name of a file as a place says it: from the root on, with ``/``."""
    return path.relative_to(root).as_posix()


def inside(root: Path, name: str, place: str) -> Path:
    """A file of the folder that a text of somebody else names.

    Args:
        root: The folder.
        name: The name, relative to the folder.
        place: Who names it, for messages.

    Raises:
        ValueError: The name leaves the folder, or cannot be the name of a file.
        FileNotFoundError: There is no such file.
    """
    from mm_envs.data.media import safe_path

    try:
        path = safe_path(root, name)
        if path.is_file():
            return path
    except FileNotFoundError:
        pass
    except (ValueError, OSError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it cannot be the name of a file: mend it"
        raise ValueError(f"{root / place}: file {shown(name)}: {reason}") from None
    raise FileNotFoundError(
        f"{root / place}: file {shown(name)} is missing: put it there, or leave it out with on_error='skip'"
    )


def text_of(path: Path, limit: int = MAX_TEXT) -> str:
    """The text of a file in UTF-8 (a byte order mark is left out).

    Raises:
        ValueError: It is in another encoding, or larger than ``limit`` bytes.
        FileNotFoundError: There is no such file.
    """
    data = bytes_of(path, limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise ValueError(
            f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8: save the file in the encoding UTF-8"
        ) from None


def bytes_of(path: Path, limit: int = MAX_TEXT) -> bytes:
    """The content of a file.

    Raises:
        ValueError: It is larger than ``limit`` bytes, or cannot be read.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"file {path} is missing: put it there")
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}): check its permissions") from None
    if len(data) > limit:
        raise ValueError(f"{path}: larger than {limit:,} bytes, which no file of this kind is: split it")
    return data


def json_of(path: Path, root: Path) -> Entry:
    """The object of a JSON file.

    Raises:
        ValueError: The file is no JSON, or holds something else than an object.
    """
    return Entry.of(root, relative(path, root), _parsed(text_of(path), str(path)))


def json_lines(path: Path, root: Path, gatherer: Gatherer) -> Iterator[Entry]:
    """The objects of a file of JSON lines; empty lines are passed over.

    Raises:
        ValueError: A line is no JSON or no object, and the gatherer does not skip.
    """
    name = relative(path, root)
    # Only \n parts lines: JSON allows the others that str.splitlines knows inside of texts.
    for number, line in enumerate(text_of(path).split("\n"), 1):
        entry = None
        if line.strip():
            with gatherer.item():
                place = f"{name}, line {number}"
                entry = Entry.of(root, place, _parsed(line, str(root / place), lines=False))
        if entry is not None:
            yield entry


def first_line(path: Path, limit: int = 2**16) -> str:
    """The beginning of the first line of a file, to recognise it by; bytes that are no text are replaced."""
    try:
        with path.open("rb") as file:
            return file.readline(limit).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def listed(folder: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """The visible files of a directory, sorted by name, those with some suffixes only if there are any.

    Returns:
        Their paths; none if there is no such directory. Links are left out: they may lead anywhere.
    """
    return [folder / name for name in _names(folder, "file", suffixes)]


def folders(root: Path) -> list[Path]:
    """The visible directories of a directory, sorted by name, without links."""
    return [root / name for name in _names(root, "folder")]


def _names(folder: Path, kind: str, suffixes: Collection[str] = ()) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if (entry.is_file if kind == "file" else entry.is_dir)(follow_symlinks=False)
                and not entry.name.startswith(".")
                and (not suffixes or os.path.splitext(entry.name)[1].lower() in suffixes)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ValueError(f"{folder}: cannot be read ({error.strerror}): check its permissions") from None


class Files:
    """The files of some directories, listed once: what annotations name is looked up and nothing else.

    Args:
        root: The folder.
        places: Directories, relative to the folder; where a name is in several, the first counts.
        suffixes: The endings of the files that matter.
    """

    def __init__(self, root: Path, places: Sequence[str], suffixes: Collection[str] = ()) -> None:
        self.root = root
        self.places = places
        found = [{path.name: path for path in listed(root / place, suffixes)} for place in places]
        self.paths = {name: path for files in reversed(found) for name, path in files.items()}

    def find(self, name: str) -> Path | None:
        """The file of a name; None if there is none."""
        return self.paths.get(name)

    def take(self, name: str, place: str) -> Path:
        """The file of a name, which may lead into directories of the folder.

        Args:
            name: The name as it is written in the annotations.
            place: Who names it, for messages.

        Raises:
            ValueError: The name leaves the folder.
            FileNotFoundError: There is no such file.
        """
        found = self.find(name)
        if found is None and "/" in name:
            found = inside(self.root, name, place)
        if found is None:
            raise FileNotFoundError(
                f"{self.root / place}: file {shown(name)} is not in {' or '.join(self.places)}: "
                "put it there, or leave it out with on_error='skip'"
            )
        return found


def _parsed(text: str, where: str, lines: bool = True) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f", line {error.lineno}" if lines else ""
        raise ValueError(
            f"{where}{place}, column {error.colno}: not JSON ({error.msg}): mend it or get the file anew"
        ) from None
    except (ValueError, RecursionError):
        raise ValueError(
            f"{where}: no JSON of a data set (too deep, or too long a number): mend it"
        ) from None
