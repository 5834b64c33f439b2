"""The labelling service: what clients (terminal, simulation, web page) call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import Connection, select

from feedback.aggregation.agreement import Agreement, agreement_of
from feedback.labelling.assignments import Assignment, held, lease, leases, open_query
from feedback.preferences.items import Item
from feedback.preferences.query import Query
from feedback.preferences.records import KINDS, Pairwise, Record
from feedback.store import Conflict, PreferenceStore, schema
from feedback.store.rows import described, form_of_row, stored
from mm_envs.names import at_least, check_one_of


@dataclass(frozen=True)
class Progress:
    """The progress of labelling.

    Attributes:
        queries: The number of queries.
        done: Those with as many labels as the overlap asks for; with one, if it is 0.
        leased: The number of leases that are held.
        annotators: How many queries each annotator has labelled.
    """

    queries: int
    done: int
    leased: int
    annotators: dict[str, int]


class Labelling:
    """Gives queries to annotators and keeps their labels.

    Any number of processes may serve the same store: a query is never leased to more annotators than the
    overlap, and a label is on the disk when ``submit`` returns. A label that comes after its lease expired is
    kept as well, so the overlap limits leases, not labels.

    Args:
        store: Where queries, leases and labels are kept.
        queries: The queries to ask, in this order, added to the store if they are new; None for all in it.
        items: The items of the queries, where the store does not hold them yet.
        overlap: How many annotators shall answer each query; 0 for all who ask.
        seconds: How long a lease lasts.
        clock: Seconds since 1970.

    Example:
        >>> item = Item.of_text("Red or blue?")
        >>> store = PreferenceStore("sqlite://")
        >>> service = Labelling(store, [Query(item=item.id, answers=("red", "blue"))], [item])
        >>> asked = service.next("ann")
        >>> service.next("bob") is None
        True
        >>> service.submit("ann", asked.query.id, choice="first").choice
        'first'
        >>> service.revise("ann", asked.query.id, choice="second").choice
        'second'
        >>> [one.choice for one in store.records()], len(service.history(asked.query.id))
        (['second'], 2)
    """

    def __init__(
        self,
        store: PreferenceStore,
        queries: Iterable[Query] | None = None,
        items: Iterable[Item] = (),
        overlap: int = 1,
        seconds: float = 600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        at_least("overlap", overlap, 0)
        at_least("seconds", seconds, 0, "give the time that a lease lasts")
        self.store, self.overlap, self._seconds, self._clock = store, overlap, seconds, clock
        self._scope: dict[str, Query] | None = None
        if queries is not None:
            self._scope = {one.id: one for one in queries}
            store.submit((), items, self._scope.values())

    def next(self, annotator: str) -> Assignment | None:
        """Leases the next query to an annotator: the one they hold, else the first open one, else None.

        Raises:
            ValueError: The annotator has no name.
        """
        if not annotator.strip():
            raise ValueError("annotator is empty: give a name")
        with self._writing() as connection:
            now = self._clock()
            mine = held(connection, annotator, now, self._scope)
            if mine is not None:
                return Assignment(self._query(connection, mine[0]), annotator, mine[1])
            query = open_query(connection, annotator, now, self.overlap, self._scope)
            return None if query is None else self._lease(connection, query, annotator, now)

    def submit(self, annotator: str, query: str, **answer: Any) -> Record:
        """Stores the label of an annotator, which ends the lease. The same label again is stored once.

        Args:
            annotator: The annotator.
            query: The id of the query.
            answer: The fields of the record besides those of the query, such as ``choice="first"``.

        Raises:
            Conflict: The annotator has another label on the query: revise it.
        """
        return self._store(annotator, query, answer, revise=False)

    def revise(self, annotator: str, query: str, **answer: Any) -> Record:
        """Stores a label that supersedes that of the annotator on the query; a ValueError without one."""
        return self._store(annotator, query, answer, revise=True)

    def undo(self, annotator: str) -> Assignment | None:
        """Withdraws the newest label of an annotator and leases its query again; None without a label."""
        with self._writing() as connection:
            table, known = schema.RECORDS, select(schema.QUERIES.c.id)
            mine = select(table).where(
                table.c.annotator == annotator, table.c.query.in_(known), schema.in_force(table)
            )
            rows = connection.execute(mine.order_by(table.c.number.desc()))
            row = next((row for row in rows if self._scope is None or row.query in self._scope), None)
            if row is None:
                return None
            record, now = cast(Record, form_of_row(row, self.store.where)), self._clock()
            withdrawal = record.revised(withdrawn=True, latency=None, time=now)
            self.store.insert(connection, {withdrawal.id: withdrawal})
            return self._lease(connection, record.query, annotator, now)

    def release(self, annotator: str, query: str) -> None:
        """Gives a lease back, so that others are asked at once.

        Raises:
            ValueError: There is no such query.
        """
        with self._writing() as connection:
            known, now = self._query(connection, query), self._clock()
            lease(connection, known.id, annotator, now, now)

    def records(self) -> list[Record]:
        """The labels that count."""
        return [one for one in self.store.records() if self._scope is None or one.query in self._scope]

    def history(self, query: str) -> list[Record]:
        """All labels of a query in the order in which they came, superseded and withdrawn ones included."""
        table = schema.RECORDS
        with self.store.reading() as connection:
            rows = connection.execute(select(table).where(table.c.query == query).order_by(table.c.number))
            return [cast(Record, form_of_row(row, self.store.where)) for row in rows]

    def progress(self) -> Progress:
        """How far labelling is."""
        queries = {one.id for one in self.store.queries()} if self._scope is None else set(self._scope)
        labels = {(one.query, one.annotator) for one in self.records() if one.query in queries}
        counts = Counter(query for query, _ in labels)
        with self.store.reading() as connection:
            leased = sum(row.query in queries for row in connection.execute(leases(self._clock())))
        done = sum(count >= max(1, self.overlap) for count in counts.values())
        names = Counter(annotator for _, annotator in sorted(labels))
        return Progress(len(queries), done, leased, dict(sorted(names.items())))

    def agreement(self) -> Agreement:
        """How far annotators agree on the pairs that several of them compared."""
        return agreement_of(
            [one for one in self.records() if isinstance(one, Pairwise) and one.choice != "skip"]
        )

    # Internal ---------------------------------------------------------------------------------------------

    def _writing(self) -> AbstractContextManager[Connection]:
        return self.store.writing([schema.RECORDS, schema.QUERIES, schema.ASSIGNMENTS])

    def _lease(self, connection: Connection, query: str, annotator: str, now: float) -> Assignment:
        lease(connection, query, annotator, now, now + self._seconds)
        return Assignment(self._query(connection, query), annotator, now + self._seconds)

    def _query(self, connection: Connection, query: str) -> Query:
        if self._scope is not None and query in self._scope:
            return self._scope[query]
        for row in stored(connection, schema.QUERIES, [query]):
            return cast(Query, form_of_row(row, self.store.where))
        raise ValueError(f"{self.store.where} holds no query {query!r:.60}: add it first")

    def _store(self, annotator: str, query: str, answer: dict[str, Any], revise: bool) -> Record:
        with self._writing() as connection:
            asked, now = self._query(connection, query), self._clock()
            check_one_of("asks", asked.asks, KINDS)
            displayed = Assignment(asked, annotator, now).displayed
            try:
                new = KINDS[asked.asks](
                    query=query,
                    item=asked.item,
                    answers=asked.answers,
                    sampler=asked.sampler,
                    reward_model=asked.reward_model,
                    annotator=annotator,
                    **{"time": now, "displayed": displayed, **answer},
                )
            except TypeError as error:
                raise ValueError(f"{answer} is no {asked.asks} label: {error}") from error
            before = self._newest(connection, new)
            labelled = before is not None and not before.withdrawn
            if revise and not labelled:
                raise ValueError(f"{annotator} has no label on query {query}: submit one first")
            if before is not None:
                if labelled and replace(new, supersedes=before.supersedes).covers(before):
                    return before
                if labelled and not revise:
                    raise Conflict(f"{described(before)} has another label: revise it", [before.id])
                new = replace(new, supersedes=before.id)
            self.store.insert(connection, {new.id: new})
            return new

    def _newest(self, connection: Connection, record: Record) -> Record | None:
        """The record of the same label that no other one supersedes; None for none."""
        table, label = schema.RECORDS, record.label
        rows = connection.execute(
            select(table)
            .where((table.c.id == label) | (table.c.revises == label))
            .order_by(table.c.revises != "", table.c.number)
        )
        found = [cast(Record, form_of_row(row, self.store.where)) for row in rows]
        superseded = {one.supersedes for one in found}
        return next((one for one in reversed(found) if one.id not in superseded), None)
