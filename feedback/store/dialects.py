"""All that differs from one database to another; everything else is SQLAlchemy's Core."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError, OperationalError

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_WRITES = "feedback_writes"
# Any number that others who lock the same database do not use.
_SCHEMA_LOCK = 7_166_338_801
# Nothing here touches the file: one that turns out to be something else stays as it is. FULL: what was
# committed has reached the disk. Views and triggers of an untrusted file may call no functions.
_PRAGMAS = ("foreign_keys=ON", "synchronous=FULL", "recursive_triggers=ON", "trusted_schema=OFF")


def engine_of(url: URL, timeout: float) -> Engine:
    """The engine of a database, whose writers wait ``timeout`` seconds for each other."""
    name = url.get_backend_name()
    if name not in (SQLITE, POSTGRESQL):
        raise ValueError(f"db={name!r} is not one of {SQLITE}, {POSTGRESQL}")
    arguments: dict[str, Any] = {"timeout": timeout} if name == SQLITE else {}
    pool: dict[str, Any] = {}
    if name == SQLITE and url.database in (None, "", ":memory:"):
        # A database in memory is one connection, for which all threads wait; each would get one of its own.
        arguments["check_same_thread"] = False
        pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": timeout}
    try:
        engine = create_engine(url, connect_args=arguments, **pool)
    except (ModuleNotFoundError, NoSuchModuleError):
        raise ValueError(
            f"there is no driver {url.drivername!r}: install its package, such as psycopg for "
            "postgresql+psycopg://..."
        ) from None
    if name == SQLITE:
        event.listen(engine, "connect", _connected)
        event.listen(engine, "begin", _begun)
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine; its transactions write, one after the other."""
    return engine.execution_options(**{_WRITES: True})


def lock(connection: Connection, tables: Sequence[str]) -> None:
    """Lets other writers wait until the end of the transaction: numbers then grow in the order of commits."""
    if connection.dialect.name == POSTGRESQL:  # SQLite has waited with BEGIN IMMEDIATE
        for table in tables:
            connection.exec_driver_sql(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


def lock_schema(connection: Connection) -> None:
    """Lets others who make or migrate the tables wait until the end of the transaction."""
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")


def shared(connection: Connection) -> bool:
    """Whether tables of others in the same database are usual."""
    return connection.dialect.name != SQLITE


def prepare(engine: Engine, timeout: float) -> None:
    """Lets readers go on during writes: a property of the file, once it is known to be ours."""
    if engine.dialect.name != SQLITE:
        return
    end = time.monotonic() + timeout
    while True:
        try:
            with engine.connect() as connection:
                cursor = connection.connection.cursor()
                cursor.execute("PRAGMA journal_mode=WAL")
                cursor.close()
            return
        except (sqlite3.OperationalError, OperationalError) as error:
            # The change of mode does not wait for others as all else does.
            if "locked" not in str(error) or time.monotonic() >= end:
                raise
            time.sleep(0.01)


def guard(connection: Connection, tables: Sequence[str]) -> None:
    """Lets the database itself refuse to change or delete a row."""
    if connection.dialect.name == SQLITE:
        for table in tables:
            for deed in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END"
                )
        return
    connection.exec_driver_sql(
        "CREATE OR REPLACE FUNCTION feedback_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'feedback is append-only'; END $$"
    )
    for table in tables:
        connection.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION feedback_append_only()"
        )


def faults(connection: Connection) -> list[str]:
    """What the database itself finds wrong with its file, in words."""
    if connection.dialect.name != SQLITE:
        return []
    found = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok"]
    found += [
        f"row {row[1]} of {row[0]} refers to nothing"
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
    ]
    return found


def _connected(connection: Any, _: Any) -> None:
    # The driver would begin transactions by itself, and too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begun(connection: Connection) -> None:
    # A transaction that reads first and writes then could not wait for others.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
