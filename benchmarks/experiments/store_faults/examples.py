"""The records of the writers: a function of annotator and batch, so that any process can make them."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from random import Random

from feedback.preferences import Item, Pairwise, Record, query_id, to_json
from feedback.preferences.lines import line_of
from feedback.store.rows import row_of

ITEMS = tuple(Item.of_text(f"Which of the answers to question {number} is better?") for number in range(10))
MEDIA_EVERY = 5
_VERSION_1 = """
CREATE TABLE feedback_schema (version INTEGER NOT NULL, time FLOAT NOT NULL, PRIMARY KEY (version));
CREATE TABLE feedback_items (
    number INTEGER NOT NULL, id TEXT NOT NULL, environment TEXT NOT NULL, body TEXT NOT NULL,
    digest VARCHAR(64) NOT NULL, PRIMARY KEY (number), UNIQUE (id)
);
CREATE TABLE feedback_records (
    number INTEGER NOT NULL, id VARCHAR(32) NOT NULL, kind VARCHAR(32) NOT NULL, query TEXT NOT NULL,
    annotator TEXT NOT NULL, item TEXT NOT NULL, body TEXT NOT NULL, digest VARCHAR(64) NOT NULL,
    PRIMARY KEY (number), UNIQUE (id), FOREIGN KEY(item) REFERENCES feedback_items (id)
);
INSERT INTO feedback_schema VALUES (1, 0.0);
"""


def label(annotator: str, number: int, choice: str = "first") -> Pairwise:
    """One label of an annotator."""
    item, answers = ITEMS[number % len(ITEMS)], (f"answer {number}", "another answer " * (number % 7))
    query = query_id(item.id, answers)
    return Pairwise(query=query, item=item.id, annotator=annotator, answers=answers, choice=choice)


def batch_of(annotator: str, batch: int) -> list[Pairwise]:
    """One batch of an annotator, of 1 to 20 labels; no two batches share a label."""
    return [label(annotator, 100 * batch + number) for number in range(Random(batch).randint(1, 20))]


def media_of(annotator: str, batch: int) -> bytes:
    """The file of some batches."""
    return hashlib.sha256(f"{annotator} {batch}".encode()).digest() * 500


def write_version_1(file: Path, records: Iterable[Record], items: Iterable[Item] = ITEMS) -> None:
    """Makes a store as version 1 had it: items did not name vocabularies, annotators were not indexed."""
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.executescript(_VERSION_1)
        for item in items:
            body = line_of({name: value for name, value in to_json(item).items() if name != "vocabulary"})
            row = {"id": item.id, "environment": item.environment, "body": body}
            _insert(raw, "feedback_items", row | {"digest": hashlib.sha256(body.encode()).hexdigest()})
        for record in records:
            columns = row_of(record).items()
            later = ("revises", "supersedes", "withdrawn")
            _insert(raw, "feedback_records", {name: value for name, value in columns if name not in later})


def _insert(raw: sqlite3.Connection, table: str, row: dict[str, str]) -> None:
    names, values = ", ".join(row), ", ".join("?" * len(row))
    raw.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", tuple(row.values()))
