"""Records and items as rows of tables, and back, compared with their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select

from feedback.preferences.items import Item
from feedback.preferences.lines import line_of, read_line
from feedback.preferences.records import Record
from feedback.preferences.serial import form_of, record_id, to_json
from feedback.store.errors import Conflict

CURES = {
    Record: "an answer is never changed; ask a new question, or leave it out",
    Item: "what is stored of an item is never changed; leave it out, or begin a new store with it",
}
_ASKED = 500


def id_of(one: Record | Item) -> str:
    """The id of a record or an item.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(one, Item):
        return one.id
    if not isinstance(one, Record):
        raise ValueError(f"{one!r:.60} is no record")
    return record_id(one)


def row_of(one: Record | Item) -> dict[str, Any]:
    """The columns of a record or an item, its number left to the database."""
    body = line_of(to_json(one))
    return {**_columns(one), "body": body, "digest": _digest(body)}


def _columns(one: Record | Item) -> dict[str, Any]:
    if isinstance(one, Item):
        return {"id": one.id, "environment": one.environment, "vocabulary": one.vocabulary}
    name = {"id": record_id(one), "kind": one.kind, "query": one.query}
    return {**name, "annotator": one.annotator, "item": one.item}


def form_of_row(row: Row[Any], where: str) -> Record | Item:
    """The record or item of a row.

    Raises:
        ValueError: It is not as it was written.
    """
    try:
        if not isinstance(row.body, str) or row.digest != _digest(row.body):
            raise ValueError("its content is not that of its digest")
        form = form_of(read_line(row.body))
        for name, value in _columns(form).items():
            if getattr(row, name) != value:
                raise ValueError(f"its {name} is not that of its content")
    except ValueError as error:
        raise ValueError(f"{where}, row {row.number} is damaged ({error}): restore it from a copy") from None
    return form


def distinct(given: Iterable[Any], agree: Callable[[Any, Any], bool]) -> dict[str, Any]:
    """What was given by id; what is given twice counts once: the one that says more, if one does.

    Raises:
        Conflict: Two of one id say different things.
        ValueError: Something is neither record nor item.
    """
    found: dict[str, Any] = {}
    for one in given:
        name = id_of(one)
        first = found.setdefault(name, one)
        if first is one or agree(first, one):
            continue
        if not agree(one, first):
            raise Conflict(f"the batch says two things on {said(one)}: {cure(one)}", [name])
        found[name] = one
    return found


def stored(connection: Connection, table: Table, ids: Iterable[str]) -> Iterator[Row[Any]]:
    """The rows of those ids that are stored."""
    asked = list(ids)
    # Databases take a limited number of values in one question.
    for first in range(0, len(asked), _ASKED):
        yield from connection.execute(select(table).where(table.c.id.in_(asked[first : first + _ASKED])))


def write(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows."""
    if rows:
        connection.execute(insert(table), rows)


def said(one: Record | Item) -> str:
    """What a record or an item is, for a sentence."""
    if isinstance(one, Item):
        return f"item {one.id}"
    return f"{one.kind} query {one.query} of {one.annotator}"


def cure(one: Record | Item) -> str:
    """What to do about one that contradicts another."""
    return CURES[Item if isinstance(one, Item) else Record]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
