"""The tables of a store, the condition under which records count, and migrations of older stores."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from feedback.store.dialects import guard, lock_schema, shared

VERSION = 3
_METADATA = sa.MetaData()


def _table(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, _METADATA, sa.Column("number", sa.Integer, primary_key=True), *columns)


SCHEMA = sa.Table(
    "feedback_schema",
    _METADATA,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Float, nullable=False),
)
ITEMS = _table(
    "feedback_items",
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("vocabulary", sa.Text, nullable=False, server_default=""),
)
RECORDS = _table(
    "feedback_records",
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("item", sa.Text, sa.ForeignKey(ITEMS.c.id), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    # Of revisions: the label that they change, and the record that they supersede; empty for first labels.
    sa.Column("revises", sa.String(32), nullable=False, server_default=""),
    sa.Column("supersedes", sa.String(32), nullable=False, server_default=""),
    sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()),
)
QUERIES = _table(
    "feedback_queries",
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("asks", sa.String(32), nullable=False),
    sa.Column("item", sa.Text, sa.ForeignKey(ITEMS.c.id), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
# The last row of a query and an annotator counts: leases are granted, renewed and released by new rows.
ASSIGNMENTS = _table(
    "feedback_assignments",
    sa.Column("query", sa.String(32), sa.ForeignKey(QUERIES.c.id), nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
)
ANNOTATORS = sa.Index("feedback_records_annotator", RECORDS.c.annotator)
_OF_LABELLING = (
    sa.Index("feedback_records_revises", RECORDS.c.revises),
    sa.Index("feedback_records_query", RECORDS.c.query),
    sa.Index("feedback_assignments_query", ASSIGNMENTS.c.query),
)
TABLES = (SCHEMA, ITEMS, RECORDS, QUERIES, ASSIGNMENTS)


def in_force(record: sa.FromClause, until: int | None = None) -> sa.ColumnElement[bool]:
    """Whether a row of ``RECORDS`` counts: neither superseded nor withdrawn, as of number ``until``."""
    other = RECORDS.alias()
    label = sa.func.coalesce(sa.func.nullif(record.c.revises, ""), record.c.id)
    later = sa.and_(other.c.number > record.c.number, ~_superseded(other, until))
    newer = sa.exists().where(
        other.c.revises == label,
        sa.or_(record.c.revises == "", other.c.supersedes == record.c.id, later),
        *_by(other, until),
    )
    return sa.and_(record.c.withdrawn == sa.false(), ~newer)


def _superseded(record: sa.FromClause, until: int | None) -> sa.ColumnElement[bool]:
    other = RECORDS.alias()
    return sa.exists().where(
        other.c.revises == record.c.revises, other.c.supersedes == record.c.id, *_by(other, until)
    )


def _by(record: sa.FromClause, until: int | None) -> list[sa.ColumnElement[bool]]:
    return [] if until is None else [record.c.number <= until]


def reached(connection: sa.Connection, where: str) -> int:
    """The version of the store in a database; 0 for an empty one."""
    names = set(sa.inspect(connection).get_table_names())
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


def bring_up(connection: sa.Connection) -> None:
    """Makes the tables, or migrates older ones, in the transaction of the connection."""
    lock_schema(connection)
    # Another process may have made them meanwhile.
    if SCHEMA.name not in sa.inspect(connection).get_table_names():
        _METADATA.create_all(connection)
        connection.execute(sa.insert(SCHEMA).values(version=VERSION, time=time.time()))
    else:
        for version in range(_version(connection), VERSION):
            _STEPS[version](connection)
            connection.execute(sa.insert(SCHEMA).values(version=version + 1, time=time.time()))
    guard(connection, [table.name for table in TABLES])


def _version(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.max(SCHEMA.c.version))).scalar() or 0


def _name_vocabularies(connection: sa.Connection) -> None:
    """Version 2 says of each item which vocabulary its answers are written in, and finds annotators."""
    connection.execute(sa.text(f"ALTER TABLE {ITEMS.name} ADD COLUMN vocabulary TEXT NOT NULL DEFAULT ''"))
    ANNOTATORS.create(connection)


def _know_revisions(connection: sa.Connection) -> None:
    """Version 3 holds queries, assignments and revisions."""
    for column in ("revises VARCHAR(32)", "supersedes VARCHAR(32)"):
        connection.execute(sa.text(f"ALTER TABLE {RECORDS.name} ADD COLUMN {column} NOT NULL DEFAULT ''"))
    connection.execute(
        sa.text(f"ALTER TABLE {RECORDS.name} ADD COLUMN withdrawn BOOLEAN NOT NULL DEFAULT FALSE")
    )
    # Creates the indices of these tables as well.
    _METADATA.create_all(connection, [QUERIES, ASSIGNMENTS])
    for index in _OF_LABELLING:
        index.create(connection, checkfirst=True)


# Version -> what makes the next one of it.
_STEPS: dict[int, Callable[[sa.Connection], None]] = {1: _name_vocabularies, 2: _know_revisions}
