"""Files of JSON Lines, written whole or not at all and read line by line."""

from __future__ import annotations

import codecs
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mm_envs.names import check_one_of

# More than the longest record, even if each of its characters takes six bytes, as control characters do.
LONGEST_LINE = 2**24
ON_ERROR = ("raise", "skip")


def line_of(value: Mapping[str, Any]) -> str:
    """A JSON object in one line, the same for equal objects.

    Example:
        >>> line_of({"b": 1, "a": "é"})
        '{"a":"é","b":1}'
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_line(line: str) -> Any:
    """The JSON value of a line."""
    try:
        return json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error}): export it again, or skip what is wrong") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name when it is complete and on the disk, else leaves nothing."""
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_lines(path: str | Path, values: Iterable[Mapping[str, Any]]) -> int:
    """Writes a file, whole or not at all; one that is there is replaced. Returns the number of lines."""
    count = 0
    with whole_file(Path(path)) as out:
        for value in values:
            out.write(f"{line_of(value)}\n".encode())
            count += 1
    return count


def read_lines(
    path: str | Path, take: Callable[[int, Any], None], on_error: str = "raise"
) -> tuple[str, ...]:
    """Hands the JSON values of a file to a function, with the numbers of their lines.

    Args:
        path: The file.
        take: Called with the number of a line, from 1, and its value; raises ``ValueError`` for a wrong one.
        on_error: "raise" refuses a file with a wrong line; "skip" leaves it out.

    Returns:
        A sentence for each line that was left out; it names file and line.
    """
    check_one_of("on_error", on_error, ON_ERROR)
    skipped = []
    for number, line in _lines(Path(path)):
        try:
            take(number, read_line(_text(line)))
        except ValueError as error:
            half = "" if line.endswith(b"\n") or len(line) > LONGEST_LINE else "is half-written: "
            sentence = f"{path}, line {number}: {half}{error}"
            if on_error == "raise":
                raise ValueError(sentence) from None
            skipped.append(sentence)
    return tuple(skipped)


def first_line(path: str | Path) -> Any:
    """The JSON value of the first line that is not empty; None for an empty file."""
    for number, line in _lines(Path(path)):
        try:
            return read_line(_text(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not empty; of one that is too long the beginning."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give a file of JSON Lines")
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number, rest = number + 1, line
            while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
                rest = file.readline(LONGEST_LINE + 1)
            if number == 1:  # some editors begin a file of UTF-8 with a mark
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.strip():
                yield number, line


def _text(line: bytes) -> str:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"it is longer than {LONGEST_LINE:,} bytes")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it names a key twice")
    return found
