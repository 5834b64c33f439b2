"""Leases of queries in a store: which query an annotator gets, until when, and which are still held."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, exists, func, insert, select

from feedback.preferences.query import Query, digest_of
from feedback.preferences.records import CHOICES
from feedback.store import schema

_QUERIES, _LEASES, _RECORDS = schema.QUERIES, schema.ASSIGNMENTS, schema.RECORDS


@dataclass(frozen=True)
class Assignment:
    """A query that is leased to an annotator.

    Attributes:
        query: What is asked.
        annotator: Who is asked.
        until: When the lease expires, in seconds since 1970; the query is then given to others as well.
    """

    query: Query
    annotator: str
    until: float

    @property
    def displayed(self) -> tuple[int, ...]:
        """The order in which to show the answers, as in records: drawn from query and annotator."""
        return tuple(sorted(range(len(self.query.answers)), key=self._draw))

    def choice(self, position: int) -> str:
        """The choice of a pairwise record that prefers the answer shown at a position, 0 or 1."""
        return CHOICES[self.displayed[position]]

    def _draw(self, answer: int) -> str:
        return digest_of(("display", self.query.id, self.annotator, answer))


def lease(connection: Connection, query: str, annotator: str, time: float, until: float) -> None:
    """Grants or renews a lease; one that ends at once releases it."""
    row = {"query": query, "annotator": annotator, "time": time, "until": until}
    connection.execute(insert(_LEASES).values(row))


def held(
    connection: Connection, annotator: str, time: float, scope: Collection[str] | None
) -> tuple[str, float] | None:
    """The first query that an annotator holds a lease on, and when the lease expires; None for none."""
    query = select(_LEASES.c.query, _LEASES.c.until).where(
        _LEASES.c.annotator == annotator, _live(_LEASES, time), ~_labelled(_LEASES.c.query, annotator)
    )
    rows = connection.execute(query.order_by(_LEASES.c.number))
    return next(((row.query, row.until) for row in rows if scope is None or row.query in scope), None)


def open_query(
    connection: Connection, annotator: str, time: float, overlap: int, scope: Collection[str] | None
) -> str | None:
    """The first query of the scope (None: all) that an annotator may be asked; None for none.

    ``overlap`` is how many annotators may hold or have labelled a query, 0 for any number.
    """
    query = select(_QUERIES.c.id).where(~_labelled(_QUERIES.c.id, annotator))
    if overlap:
        query = query.where(_others(annotator, time) < overlap)
    rows = connection.execute(query.order_by(_QUERIES.c.number))
    return next((row.id for row in rows if scope is None or row.id in scope), None)


def leases(time: float) -> Select[tuple[str]]:
    """The queries of all leases that are held."""
    return select(_LEASES.c.query).where(
        _live(_LEASES, time), ~_labelled(_LEASES.c.query, _LEASES.c.annotator)
    )


def _others(annotator: str, time: float) -> ColumnElement[int]:
    """How many other annotators have labelled a query, or hold a lease on it."""
    record, other = _RECORDS.alias(), _LEASES.alias()
    labels = select(func.count(record.c.annotator.distinct())).where(
        record.c.query == _QUERIES.c.id, record.c.annotator != annotator, schema.in_force(record)
    )
    holders = select(func.count()).where(
        other.c.query == _QUERIES.c.id,
        other.c.annotator != annotator,
        _live(other, time),
        ~_labelled(other.c.query, other.c.annotator),
    )
    return labels.scalar_subquery() + holders.scalar_subquery()


def _live(given: FromClause, time: float) -> ColumnElement[bool]:
    """Whether a lease has not expired, and no later row of its query and annotator replaces it."""
    later = _LEASES.alias()
    replaced = exists().where(
        later.c.query == given.c.query,
        later.c.annotator == given.c.annotator,
        later.c.number > given.c.number,
    )
    return and_(given.c.until > time, ~replaced)


def _labelled(query: ColumnElement[str], annotator: ColumnElement[str] | str) -> ColumnElement[bool]:
    """Whether an annotator has labelled a query."""
    record = _RECORDS.alias()
    return exists().where(record.c.query == query, record.c.annotator == annotator, schema.in_force(record))
