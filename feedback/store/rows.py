"""Records, items and queries as rows of tables, and back, compared with their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from feedback.preferences.items import Item
from feedback.preferences.lines import line_of, read_line
from feedback.preferences.query import Query
from feedback.preferences.records import Record
from feedback.preferences.serial import Form, form_of, to_json
from feedback.store import schema
from feedback.store.errors import Conflict

_CHUNK = 500


def table_of(form: Form) -> Table:
    """The table in which a record, an item or a query is stored."""
    if isinstance(form, Record):
        return schema.RECORDS
    if isinstance(form, Item):
        return schema.ITEMS
    if isinstance(form, Query):
        return schema.QUERIES
    raise ValueError(f"{form!r:.60} is no record")


def row_of(form: Form) -> dict[str, Any]:
    """The columns of a record, an item or a query, its number left to the database."""
    body = line_of(to_json(form))
    return {**_columns(form), "body": body, "digest": _digest(body)}


def _columns(form: Form) -> dict[str, Any]:
    if isinstance(form, Record):
        revises = form.label if form.supersedes else ""
        names = ("id", "kind", "query", "annotator", "item", "supersedes", "withdrawn")
        return {"revises": revises, **{name: getattr(form, name) for name in names}}
    if isinstance(form, Item):
        return {"id": form.id, "environment": form.environment, "vocabulary": form.vocabulary}
    return {"id": form.id, "item": form.item, "asks": form.asks}


def form_of_row(row: Row[Any], where: str) -> Form:
    """The record, item or query of a row."""
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


def distinct(given: Iterable[Form]) -> dict[str, Any]:
    """Forms by id; of two with one id the fuller one is kept."""
    found: dict[str, Any] = {}
    for one in given:
        table_of(one)
        first: Any = found.setdefault(one.id, one)
        if first is one or first.covers(one):
            continue
        if not one.covers(first):
            raise Conflict(f"the batch holds two versions of {described(one)}: {cure(one)}", [one.id])
        found[one.id] = one
    return found


def stored(connection: Connection, table: Table, ids: Iterable[str]) -> Iterator[Row[Any]]:
    """The rows of those ids that are stored."""
    wanted = list(ids)
    # Databases take a limited number of values in one statement.
    for first in range(0, len(wanted), _CHUNK):
        yield from connection.execute(select(table).where(table.c.id.in_(wanted[first : first + _CHUNK])))


def described(form: Form) -> str:
    """Names a record, an item or a query in a sentence."""
    if isinstance(form, Record):
        return f"{form.kind} query {form.query} of {form.annotator}"
    return f"{form.kind} {form.id}"


def cure(form: Form) -> str:
    """What to do about one that contradicts another."""
    if isinstance(form, Record):
        return "an answer is never changed; give a revision of it, or leave it out"
    return f"what is stored of an {form.kind} is never changed; leave it out, or begin a new store with it"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
