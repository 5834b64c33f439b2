"""Feedback as a file of JSON Lines: a header, then items, queries and records, one a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any

from feedback.preferences.checks import text
from feedback.preferences.items import Item
from feedback.preferences.lines import first_line, read_lines, write_lines
from feedback.preferences.query import Query
from feedback.preferences.records import Record
from feedback.preferences.serial import Form, form_of, to_json

# Version 2 knows queries and revisions.
FORMAT, VERSION = "mm-envs preferences", 2


@dataclass(frozen=True)
class Header:
    """The first line of a file.

    Attributes:
        environment: The id of the environment of all items; empty for none or several.
        vocabulary: The digest of the vocabulary of the answers; empty for none or several.
        format: The kind of file.
        version: The version of its form.
    """

    environment: str = ""
    vocabulary: str = ""
    format: str = FORMAT
    version: int = VERSION


@dataclass(frozen=True)
class Imported:
    """The content of a file.

    Attributes:
        header: Its first line; None where the layout has none.
        items: The items, in the order of the file.
        records: The records, in the order of the file.
        skipped: One sentence for each line that was left out.
        queries: The queries, in the order of the file.
    """

    header: Header | None
    items: tuple[Item, ...]
    records: tuple[Record, ...]
    skipped: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()


def write_jsonl(
    path: str | Path,
    records: Iterable[Record],
    items: Iterable[Item] = (),
    environment: str = "",
    vocabulary: str = "",
    queries: Iterable[Query] = (),
) -> int:
    """Writes a file, whole or not at all; returns how many lines follow the first one.

    Args:
        path: The file; one that is there is replaced.
        records: The labels, superseded ones before their revisions.
        items: The items that they are about.
        environment: The id of the environment of all items.
        vocabulary: The digest of the vocabulary of their answers.
        queries: Queries, answered or not.
    """
    header = asdict(Header(environment, vocabulary))
    forms: Iterable[Form] = chain(items, queries, records)
    return write_lines(path, chain([header], map(to_json, forms))) - 1


def read_jsonl(path: str | Path, on_error: str = "raise") -> Imported:
    """Reads a file, whole or not at all.

    Args:
        path: The file.
        on_error: "raise" refuses a file with a wrong line; "skip" leaves such lines out and reports them.

    Raises:
        ValueError: The file is of another kind or a newer version, or a line is wrong; file and line are
            named.
    """
    try:
        header = _header(first_line(path))
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(f"{path}") else f"{path}: {error}") from None
    found: list[Form | None] = []

    def take(number: int, value: Any) -> None:
        found.append(form_of(value) if found else None)

    skipped = read_lines(path, take, on_error)
    items = tuple(one for one in found if isinstance(one, Item))
    records = tuple(one for one in found if isinstance(one, Record))
    return Imported(header, items, records, skipped, tuple(one for one in found if isinstance(one, Query)))


def _header(value: Any) -> Header:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"its first line does not say {FORMAT!r}: this is another kind of file")
    version = value.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(
            f"version={version!r:.60} is not one of those known here (1 to {VERSION}): "
            "use the version of mm-envs that wrote the file"
        )
    known = [one.name for one in fields(Header)]
    for name in value:
        if name not in known:
            raise ValueError(
                f"its first line has a field {name!r:.60}: version {version} has {', '.join(known)}"
            )
    for name in ("environment", "vocabulary"):
        text(name, value.get(name, ""))
    return Header(value.get("environment", ""), value.get("vocabulary", ""))
