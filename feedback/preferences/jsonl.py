"""Feedback as a file of JSON Lines: a line that says what it is, then items and records, one a line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feedback.preferences.checks import text
from feedback.preferences.items import Item
from feedback.preferences.records import Record
from feedback.preferences.serial import form_of, line_of, read_line, to_json
from mm_envs.names import one_of

FORMAT, VERSION = "mm-envs preferences", 1
LONGEST_LINE = 2**20
ON_ERROR = ("raise", "skip")


@dataclass(frozen=True)
class Header:
    """The first line of a file.

    Attributes:
        environment: The id of the environment that all items belong to; empty for none or several.
        vocabulary: The digest of the vocabulary of the answers; empty for none or several.
        format: What the file is.
        version: The version of its form.
    """

    environment: str = ""
    vocabulary: str = ""
    format: str = FORMAT
    version: int = VERSION


@dataclass(frozen=True)
class Imported:
    """What a file holds.

    Attributes:
        header: Its first line.
        items: The items, in the order of the file.
        records: The records, in the order of the file.
        skipped: One sentence for each line that was left out.
    """

    header: Header
    items: tuple[Item, ...]
    records: tuple[Record, ...]
    skipped: tuple[str, ...] = ()


def write_jsonl(
    path: str | Path,
    records: Iterable[Record],
    items: Iterable[Item] = (),
    environment: str = "",
    vocabulary: str = "",
) -> int:
    """Writes a file, whole or not at all.

    Args:
        path: The file; one that is there is replaced.
        records: What was said.
        items: What it speaks of.
        environment: The id of the environment of all items.
        vocabulary: The digest of the vocabulary of their answers.

    Returns:
        How many records were written.
    """
    path, count = Path(path), 0
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as out:
            out.write(line_of(asdict(Header(environment, vocabulary))) + "\n")
            out.writelines(line_of(to_json(item)) + "\n" for item in items)
            for record in records:
                out.write(line_of(to_json(record)) + "\n")
                count += 1
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return count


def read_jsonl(path: str | Path, on_error: str = "raise") -> Imported:
    """Reads a file, whole or not at all.

    Args:
        path: The file.
        on_error: "raise" refuses a file with a line that is wrong; "skip" leaves such lines out and says so.

    Raises:
        ValueError: The file is none of these, is of a newer version, or a line is wrong; file and line are
            named.
        OSError: It cannot be read.
    """
    if on_error not in ON_ERROR:
        raise ValueError(one_of("on_error", on_error, ON_ERROR))
    path = Path(path)
    items: list[Item] = []
    records: list[Record] = []
    skipped: list[str] = []
    header: Header | None = None
    for number, line in _lines(path):
        try:
            if header is None:
                header = _header(line)
                continue
            found = form_of(read_line(_text(line)))
        except ValueError as error:
            half = "" if line.endswith(b"\n") else "is half-written: "
            sentence = f"{path}, line {number}: {half}{error}"
            if header is None or on_error == "raise":
                raise ValueError(sentence) from None
            skipped.append(sentence)
            continue
        if isinstance(found, Item):
            items.append(found)
        else:
            records.append(found)
    if header is None:
        raise ValueError(f"{path} is empty: its first line should say {FORMAT!r}")
    return Imported(header, tuple(items), tuple(records), tuple(skipped))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not empty; one that is too long comes cut."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            rest = line
            while not rest.endswith(b"\n") and len(rest) > LONGEST_LINE:
                rest = file.readline(LONGEST_LINE + 1)
            if line.strip():
                yield number, line


def _text(line: bytes) -> str:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"it is longer than {LONGEST_LINE:,} bytes")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _header(line: bytes) -> Header:
    value: Any = read_line(_text(line))
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"the first line does not say {FORMAT!r}: this is another kind of file")
    version = value.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(
            f"version={version!r:.60} is not one of those known here (1 to {VERSION}): "
            "use the version of mm-envs that wrote the file"
        )
    if set(value) - set(Header.__dataclass_fields__):
        raise ValueError(f"the first line has fields that version {version} does not have")
    for name in ("environment", "vocabulary"):
        text(name, value.get(name, ""))
    return Header(value.get("environment", ""), value.get("vocabulary", ""))
