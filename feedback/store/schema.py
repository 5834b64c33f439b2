"""The tables of a store, and how a store of an older version becomes one of this."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
    text,
)

from feedback.store.dialects import guard, lock_schema, shared

VERSION = 2
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
)
ANNOTATORS = Index("feedback_records_annotator", RECORDS.c.annotator)
TABLES = (SCHEMA, ITEMS, RECORDS)


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
    # Another process may have been faster.
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


# Version -> what makes the next one of it.
_STEPS: dict[int, Callable[[Connection], None]] = {1: _name_vocabularies}
