"""The same store on PostgreSQL: MM_ENVS_POSTGRESQL is the URL of an empty database, which is filled."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from store_examples import ITEMS, pair

from feedback.preferences import Item
from feedback.store import Conflict, PreferenceStore, UnknownItem, export_jsonl, import_jsonl, schema

URL = os.environ.get("MM_ENVS_POSTGRESQL", "")
needs_server = pytest.mark.skipif(not URL, reason="MM_ENVS_POSTGRESQL names no database of PostgreSQL")


def test_the_tables_can_be_made() -> None:
    labels = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in schema.TABLES]
    assert ["number SERIAL" in one for one in labels] == [False, True, True, True, True]


def test_a_driver_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"no driver 'postgresql\+nothing': install its"):
        PreferenceStore("postgresql+nothing://host/db")


@needs_server
def test_it_is_the_same_store(tmp_path: Path) -> None:
    who, before = str(uuid4()), 0
    with ThreadPoolExecutor(8) as pool:  # all of them make the tables, or find them
        stores = list(pool.map(lambda _: PreferenceStore(URL, media=tmp_path / "media"), range(8)))
    store = stores[0]
    store.add_items(ITEMS)
    before = store.last()
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda one: one.add([pair(n, who) for n in range(50)]), stores))
    assert sorted(new) == [0] * 7 + [50]
    assert list(store.records(annotator=who)) == [pair(n, who) for n in range(50)]
    with pytest.raises(Conflict):
        store.add([pair(99, who), pair(0, who, "tie")])
    with pytest.raises(UnknownItem):
        store.add([pair(99, who), pair(0, who, item=Item.of_text("unknown"))])
    assert store.count(annotator=who) == 50
    assert sum(1 for _ in store.records(after=before)) == 50
    export_jsonl(store, tmp_path / "a.jsonl")
    assert import_jsonl(store, tmp_path / "a.jsonl").new == 0
    assert store.verify() == ()
    for one in stores:
        one.close()


@needs_server
def test_the_database_itself_refuses_changes() -> None:
    PreferenceStore(URL).close()
    engine = create_engine(URL)
    for table in schema.TABLES:
        for deed in (f"DELETE FROM {table.name}", f"TRUNCATE {table.name} CASCADE"):
            with pytest.raises(DBAPIError, match="feedback is append-only"), engine.begin() as connection:
                connection.exec_driver_sql(deed)
    engine.dispose()
