"""The tables of a store, the condition under which records count, and migrations of older stores."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    exists,
    false,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
)

from feedback.store.dialects import guard, lock_schema, shared

VERSION = 3
_METADATA = MetaData()

SCHEMA = Table(
    "feedback_schema",
    _METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("time", Float, nullable=False),
)
ITEMS = Table(
    "feedback_items",
    _METADATA,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("environment", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("vocabulary", Text, nullable=False, server_default=""),
)
RECORDS = Table(
    "feedback_records",
    _METADATA,
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("query", Text, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("item", Text, ForeignKey(ITEMS.c.id), nullable=False),
    Column("body", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    # Of revisions: the label that they change, and the record that they supersede; empty for first labels.
    Column("revises", String(32), nullable=False, server_default=""),
    Column("supersedes", String(32), nullable=False, server_default=""),
    Column("withdrawn", Boolean, nullable=False, server_default=false()),
)
QUERIES = Table(
    "feedback_queries",
    _METADATA,
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("asks", String(32), nullable=False),
    Column("item", Text, ForeignKey(ITEMS.c.id), nullable=False),
    Column("body", Text, nullable=False),
    Column("digest", String(64), nullable=False),
)
# The last row of a query and an annotator counts: leases are granted, renewed and released by new rows.
ASSIGNMENTS = Table(
    "feedback_assignments",
    _METADATA,
    Column("number", Integer, primary_key=True),
    Column("query", String(32), ForeignKey(QUERIES.c.id), nullable=False),
    Column("annotator", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("until", Float, nullable=False),
)
ANNOTATORS = Index("feedback_records_annotator", RECORDS.c.annotator)
_OF_LABELLING = (
    Index("feedback_records_revises", RECORDS.c.revises),
    Index("feedback_records_query", RECORDS.c.query),
    Index("feedback_assignments_query", ASSIGNMENTS.c.query),
)
TABLES = (SCHEMA, ITEMS, RECORDS, QUERIES, ASSIGNMENTS)


def in_force(record: FromClause, until: int | None = None) -> ColumnElement[bool]:
    """Whether a row of records counts, as ``feedback.preferences.in_force``: not superseded nor withdrawn.

    Args:
        record: ``RECORDS`` or an alias of it.
        until: The state of the store when this was its last number; None for now.
    """
    other = RECORDS.alias()
    label = func.coalesce(func.nullif(record.c.revises, ""), record.c.id)
    later = and_(other.c.number > record.c.number, ~_superseded(other, until))
    newer = exists().where(
        other.c.revises == label,
        or_(record.c.revises == "", other.c.supersedes == record.c.id, later),
        *_by(other, until),
    )
    return and_(record.c.withdrawn == false(), ~newer)


def _superseded(record: FromClause, until: int | None) -> ColumnElement[bool]:
    other = RECORDS.alias()
    return exists().where(
        other.c.revises == record.c.revises, other.c.supersedes == record.c.id, *_by(other, until)
    )


def _by(record: FromClause, until: int | None) -> list[ColumnElement[bool]]:
    return [] if until is None else [record.c.number <= until]


def reached(connection: Connection, where: str) -> int:
    """The version of the store in a database; 0 for an empty one.

    Raises:
        ValueError: It holds something else, or is a store of a version that is not known here.
    """
    names = set(inspect(connection).get_table_names())
    if SCHEMA.name not in names:
        if names and not shared(connection):
            raise ValueError(
                f"{where} is a database of something else (it holds {', '.join(sorted(names)[:3])}): "
                "give the file of a preference store or a new name"
            )
        return 0
    version = _version(connection)
    if not 1 <= version <= VERSION:
        raise ValueError(
            f"{where} has schema version {version}, and this mm-envs knows 1 to {VERSION}: update mm-envs"
        )
    return version


def bring_up(connection: Connection) -> None:
    """Makes the tables, or migrates older ones, in the transaction of the connection."""
    lock_schema(connection)
    # Another process may have made them meanwhile.
    if SCHEMA.name not in inspect(connection).get_table_names():
        _METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=VERSION, time=time.time()))
    else:
        for version in range(_version(connection), VERSION):
            _STEPS[version](connection)
            connection.execute(insert(SCHEMA).values(version=version + 1, time=time.time()))
    guard(connection, [table.name for table in TABLES])


def _version(connection: Connection) -> int:
    return connection.execute(select(func.max(SCHEMA.c.version))).scalar() or 0


def _name_vocabularies(connection: Connection) -> None:
    """Version 2 says of each item which vocabulary its answers are written in, and finds annotators."""
    connection.execute(text(f"ALTER TABLE {ITEMS.name} ADD COLUMN vocabulary TEXT NOT NULL DEFAULT ''"))
    ANNOTATORS.create(connection)


def _know_revisions(connection: Connection) -> None:
    """Version 3 holds queries, assignments and revisions."""
    for column in ("revises VARCHAR(32)", "supersedes VARCHAR(32)"):
        connection.execute(text(f"ALTER TABLE {RECORDS.name} ADD COLUMN {column} NOT NULL DEFAULT ''"))
    connection.execute(
        text(f"ALTER TABLE {RECORDS.name} ADD COLUMN withdrawn BOOLEAN NOT NULL DEFAULT FALSE")
    )
    # Creates the indices of these tables as well.
    _METADATA.create_all(connection, [QUERIES, ASSIGNMENTS])
    for index in _OF_LABELLING:
        index.create(connection, checkfirst=True)


# Version -> what makes the next one of it.
_STEPS: dict[int, Callable[[Connection], None]] = {1: _name_vocabularies, 2: _know_revisions}
