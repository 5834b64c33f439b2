"""Untrusted text and JSON: read within limits, or refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from mm_envs.data.faults import Faults

# The questions of VQA v2, the largest file of all layouts here, have 80 MB of text.
MAX_TEXT = 2**30

_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}

Kind = TypeVar("Kind", str, int, list, dict)


def shown(value: object) -> str:
    """Returns a value for a message, on one line of at most 60 characters; of lists only the length."""
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = ascii(value[:80]) if isinstance(value, str) else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def text_of(path: Path, limit: int = MAX_TEXT) -> str:
    """Reads a text file in UTF-8, without its byte order mark.

    Raises:
        ValueError: It has another encoding, has more than ``limit`` bytes, or cannot be read.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"file {path} is missing: put it there")
    try:
        if path.stat().st_size > limit:
            raise ValueError(f"{path}: larger than {limit:,} bytes, which no file of this kind is: split it")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}): check its permissions") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise ValueError(
            f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8: save the file in the encoding UTF-8"
        ) from None


def first_line(path: Path, limit: int = 2**16) -> str:
    """Returns the beginning of the first line of a file; invalid bytes are replaced."""
    try:
        with path.open("rb") as file:
            return file.readline(limit).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def listed_splits(lists: Mapping[str, Path]) -> dict[str, str]:
    """Reads the split of each name from a file of names for each split; some may be missing."""
    splits: dict[str, str] = {}
    for split, path in lists.items():
        for name in text_of(path).split() if path.is_file() else ():
            if splits.setdefault(name, split) != split:
                raise ValueError(
                    f"{path}: {shown(name)} is in {lists[splits[name]].name}, too: keep it in one of them"
                )
    return splits


# JSON -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A JSON object of an untrusted file, with checked access to its values."""

    root: Path
    location: str
    values: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, root: Path, location: str, value: object) -> Entry:
        """Returns the entry of a value, or refuses one that is not an object."""
        if not isinstance(value, dict):
            raise ValueError(
                f"{root / location}: {shown(value)} is not an object with names and values: mend it"
            )
        return cls(root, location, value)

    def get(self, key: str, kind: type[Kind]) -> Kind:
        """Returns the value of a key.

        Raises:
            ValueError: It is missing, of another kind, or text that cannot be encoded as UTF-8.
        """
        if key not in self.values:
            raise self.fault(f"{key!r} is missing: add it")
        value = self.values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.fault(f"{key}={shown(value)} is not {_KINDS[kind]}: mend it")
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise self.fault(f"{key}={shown(value)} holds half a character: save it as UTF-8") from None
        return value

    def entries(self, key: str, faults: Faults) -> Iterator[Entry]:
        """Yields the objects of a list; what is no object is added to ``faults``."""
        for i, value in enumerate(self.get(key, list)):
            entry = None
            with faults:
                entry = Entry.of(self.root, f"{self.location}, {key}[{i}]", value)
            if entry is not None:
                yield entry

    def fault(self, what: str) -> ValueError:
        """Returns the error for a fault of this object."""
        return ValueError(f"{self.root / self.location}: {what}")


def json_of(path: Path, root: Path) -> Entry:
    """Reads the object of a JSON file, or refuses it."""
    return Entry.of(root, path.relative_to(root).as_posix(), _parsed(text_of(path), str(path)))


def json_lines(path: Path, root: Path, faults: Faults) -> Iterator[Entry]:
    """Yields the objects of a file of JSON lines; lines that are none are added to ``faults``."""
    name = path.relative_to(root).as_posix()
    # Only \n separates lines: JSON allows the other separators of str.splitlines within texts.
    for number, line in enumerate(text_of(path).split("\n"), 1):
        entry = None
        if line.strip():
            with faults:
                location = f"{name}, line {number}"
                entry = Entry.of(root, location, _parsed(line, str(root / location), lines=False))
        if entry is not None:
            yield entry


def no_number(name: str) -> Any:
    """Refuses NaN and Infinity, as ``parse_constant`` of ``json.loads``: they are no JSON."""
    raise ValueError(f"{name} is not a number")


def finite(digits: str) -> float:
    """Returns a finite number, as ``parse_float`` of ``json.loads``, which reads 1e999 as infinity."""
    if not isfinite(number := float(digits)):
        raise ValueError(f"{digits:.40} is too large a number")
    return number


def _parsed(text: str, where: str, lines: bool = True) -> Any:
    try:
        return json.loads(text, parse_constant=no_number, parse_float=finite)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if lines else ""
        raise ValueError(
            f"{where}{line}, column {error.colno}: not JSON ({error.msg}): mend it or get the file anew"
        ) from None
    except (ValueError, RecursionError):
        raise ValueError(
            f"{where}: no JSON of a data set (too deep, or a number that is none or too large): mend it"
        ) from None
