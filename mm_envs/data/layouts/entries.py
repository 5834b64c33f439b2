"""JSON of strangers: objects that give their values by name, or say in one sentence what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mm_envs.data.folder.manifest import finite, no_number
from mm_envs.data.layouts.files import relative
from mm_envs.data.layouts.reading import Gatherer, shown, text_of

_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}

Kind = TypeVar("Kind", str, int, list, dict)

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


def _parsed(text: str, where: str, lines: bool = True) -> Any:
    try:
        return json.loads(text, parse_constant=no_number, parse_float=finite)
    except json.JSONDecodeError as error:
        place = f", line {error.lineno}" if lines else ""
        raise ValueError(
            f"{where}{place}, column {error.colno}: not JSON ({error.msg}): mend it or get the file anew"
        ) from None
    except (ValueError, RecursionError):
        raise ValueError(
            f"{where}: no JSON of a data set (too deep, or a number that is none or too large): mend it"
        ) from None
