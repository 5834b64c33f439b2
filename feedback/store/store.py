"""The preference store: an append-only database of items, queries, labels and their revisions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, func, insert, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from feedback.preferences.items import Item
from feedback.preferences.query import Query
from feedback.preferences.records import KINDS, Record
from feedback.preferences.serial import Form
from feedback.store import dialects, schema
from feedback.store.errors import Conflict, MissingMedia, UnknownItem, in_one_sentence, several
from feedback.store.media import LARGEST, MediaFolder
from feedback.store.rows import cure, described, distinct, form_of_row, row_of, stored, table_of
from mm_envs.names import check_one_of

_READ = 1000


@dataclass(frozen=True)
class Receipt:
    """The outcome of a submission; all of it is on the disk.

    Attributes:
        new: The ids of the records that were written.
        known: The ids of those that were stored already.
        items: The ids of the items that were new.
    """

    new: tuple[str, ...]
    known: tuple[str, ...]
    items: tuple[str, ...] = ()


class PreferenceStore:
    """Feedback in an append-only database.

    A record is named by its kind, its query and its annotator (``Record.id``): a record that is submitted
    twice is kept once, and another answer to the same query is refused unless it is a revision. Superseded
    records stay stored and no longer count. A batch is written whole or not at all, and is on the disk when
    ``add`` returns. Writers wait for each other, readers do not wait.

    Args:
        url: A file, or a URL as SQLAlchemy has it: ``sqlite:///FILE``, ``postgresql+psycopg://...``.
        media: The folder of content-addressed files; by default ``FILE.media`` for a file.
        create: Whether a store that is not there is made.
        timeout: How many seconds a writer waits for others.
        largest: The largest file of media, in bytes.

    Raises:
        ValueError: The database is not a store, damaged, or of an unknown version.
        FileNotFoundError: There is none, and ``create`` is False.

    Example:
        >>> from feedback.preferences import Item, Pairwise, query_id
        >>> item, answers = Item.of_text("Red or blue?"), ("red", "blue")
        >>> one = Pairwise(query=query_id(item.id, answers), item=item.id, annotator="ann", answers=answers,
        ...                choice="second")
        >>> store = PreferenceStore("sqlite://")
        >>> store.add_items([item]), store.add([one]), store.add([one])
        (1, 1, 0)
        >>> [record.choice for record in store.records(annotator="ann")]
        ['second']
        >>> store.close()
    """

    def __init__(
        self,
        url: str | Path | URL,
        media: str | Path | None = None,
        create: bool = True,
        timeout: float = 60.0,
        largest: int = LARGEST,
    ) -> None:
        self.url = _url(url)
        file = self.url.database if self.url.get_backend_name() == dialects.SQLITE else None
        self.where = file or self.url.render_as_string(hide_password=True)
        _check_file(file, create)
        if media is None and file and file != ":memory:":
            media = f"{file}.media"
        self.media = None if media is None else MediaFolder(media, largest)
        self._process = os.getpid()
        self._engine = dialects.engine_of(self.url, timeout)
        self._writing = dialects.writing(self._engine)
        try:
            self._open(create, timeout)
        except BaseException:
            self._engine.dispose()
            raise

    def _open(self, create: bool, timeout: float) -> None:
        with self.reading() as connection:
            version = schema.reached(connection, self.where)
        if not version and not create:
            raise FileNotFoundError(
                f"{self.where} holds no preference store: collect or import feedback first"
            )
        with in_one_sentence(self.where):
            dialects.prepare(self._engine, timeout)
        if version < schema.VERSION:
            with self.writing() as connection:
                schema.bring_up(connection)

    # Records and items ------------------------------------------------------------------------------------

    def add(self, records: Iterable[Record], items: Iterable[Item] = ()) -> int:
        """Writes records as ``submit``; returns how many of them were new."""
        return len(self.submit(records, items).new)

    def add_items(self, items: Iterable[Item]) -> int:
        """Writes items as ``submit``; returns how many of them were new."""
        return len(self.submit((), items).items)

    def submit(
        self, records: Iterable[Record], items: Iterable[Item] = (), queries: Iterable[Query] = ()
    ) -> Receipt:
        """Writes items, queries and records on them, all or none.

        Raises:
            UnknownItem: A record or query is about an item that is neither stored nor given.
            Conflict: The annotator has another label on the query (give a revision), or an item of the id
                differs.
            MissingMedia: A file that an item shows is not in the folder of media.
        """
        given, about, asked = distinct(records), distinct(items), distinct(queries)
        self._check_media(about.values())
        with self.writing((schema.ITEMS, schema.QUERIES, schema.RECORDS)) as connection:
            made = self.insert(connection, about)
            needed = dict.fromkeys(one.item for one in (*asked.values(), *given.values()))
            self._check_items(connection, needed)
            self.insert(connection, asked)
            new = self.insert(connection, given)
        return Receipt(tuple(new), tuple(name for name in given if name not in new), tuple(made))

    def records(
        self,
        kind: str | None = None,
        annotator: str | None = None,
        after: int = 0,
        until: int | None = None,
        environment: str | None = None,
        history: bool = False,
    ) -> Iterator[Record]:
        """The records in the order in which they came, read little by little.

        Args:
            kind: Of this kind only.
            annotator: Of this annotator only.
            after: Only those behind this number; ``last`` returns that of the end of the store.
            until: Only those up to this number, as they counted then.
            environment: Only those on items of this environment.
            history: Superseded and withdrawn records, too.
        """
        query = self._chosen(select(schema.RECORDS), kind, annotator, environment)
        if until is not None:
            query = query.where(schema.RECORDS.c.number <= until)
        if not history:
            query = query.where(schema.in_force(schema.RECORDS, until))
        return self._forms(schema.RECORDS, query, after)

    def items(self, environment: str | None = None) -> Iterator[Item]:
        """The items, in the order in which they came."""
        query = select(schema.ITEMS)
        if environment is not None:
            query = query.where(schema.ITEMS.c.environment == environment)
        return self._forms(schema.ITEMS, query)

    def queries(self, environment: str | None = None) -> Iterator[Query]:
        """The queries, in the order in which they came."""
        return self._forms(schema.QUERIES, _of(schema.QUERIES, select(schema.QUERIES), environment))

    def count(
        self, kind: str | None = None, annotator: str | None = None, environment: str | None = None
    ) -> int:
        """How many records count."""
        query = self._chosen(select(func.count()).select_from(schema.RECORDS), kind, annotator, environment)
        with self.reading() as connection:
            return int(connection.execute(query.where(schema.in_force(schema.RECORDS))).scalar_one())

    def last(self) -> int:
        """The number of the last record; 0 for none. Numbers grow in the order of commits."""
        with self.reading() as connection:
            return int(connection.execute(select(func.max(schema.RECORDS.c.number))).scalar() or 0)

    def annotators(self) -> dict[str, int]:
        """The annotators, by name, and how many records of each count."""
        who = schema.RECORDS.c.annotator
        query = select(who, func.count()).where(schema.in_force(schema.RECORDS)).group_by(who).order_by(who)
        with self.reading() as connection:
            return {name: int(count) for name, count in connection.execute(query)}

    # Media ------------------------------------------------------------------------------------------------

    def put_media(self, content: bytes, suffix: str = "") -> str:
        """Keeps a picture, a sound or a video next to the database, as ``MediaFolder.put``."""
        return self.folder().put(content, suffix)

    def get_media(self, name: str) -> bytes:
        """A picture, a sound or a video, compared with its name, as ``MediaFolder.get``."""
        return self.folder().get(name)

    def folder(self) -> MediaFolder:
        """The folder of media; a ValueError if the store has none."""
        if self.media is None:
            raise ValueError(f"{self.where} has no folder of media: give media=FOLDER")
        return self.media

    # The whole --------------------------------------------------------------------------------------------

    def verify(self) -> tuple[str, ...]:
        """Reads everything, media included; returns one sentence for each fault."""
        found: list[str] = []
        with self.reading() as connection:
            found += [f"{self.where}: {fault}" for fault in dialects.faults(connection)]
        for table in (schema.ITEMS, schema.QUERIES, schema.RECORDS):
            for row in self._chunks(table, select(table)):
                try:
                    form_of_row(row, self.where)
                except ValueError as error:
                    found.append(str(error))
        names = dict.fromkeys(name for item in self.items() for name in item.media) if not found else {}
        for name in names:
            try:
                self.get_media(name)
            except (ValueError, OSError) as error:
                found.append(str(error))
        return tuple(found)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose(close=self._process == os.getpid())

    def __enter__(self) -> PreferenceStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Internal ---------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads."""
        self._check_process()
        with in_one_sentence(self.where), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, tables: Sequence[Table] = ()) -> Iterator[Connection]:
        """A transaction that writes to tables; other writers wait. It is on the disk when it ends."""
        self._check_process()
        with in_one_sentence(self.where), self._writing.begin() as connection:
            dialects.lock(connection, [table.name for table in tables])
            yield connection

    def insert(self, connection: Connection, given: Mapping[str, Form]) -> dict[str, None]:
        """Inserts those forms of one kind, by id, that are not stored yet; returns their ids.

        Raises:
            Conflict: Something else is stored under an id.
        """
        if not given:
            return {}
        table = table_of(next(iter(given.values())))
        rows, differing = {name: row_of(one) for name, one in given.items()}, []
        for row in stored(connection, table, given):
            if row.digest == rows.pop(row.id)["digest"]:
                continue
            there: Any = form_of_row(row, self.where)
            if not there.covers(given[row.id]):
                differing.append(row.id)
        if differing:
            what, remedy = several([described(given[name]) for name in differing]), cure(given[differing[0]])
            raise Conflict(f"{self.where} holds something else on {what}: {remedy}", differing)
        if rows:
            connection.execute(insert(table), list(rows.values()))
        return dict.fromkeys(rows)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(f"{self.where} was opened by another process: open it anew after a fork")

    def _chosen(
        self, query: Select[Any], kind: str | None, annotator: str | None, environment: str | None
    ) -> Select[Any]:
        if kind is not None:
            check_one_of("kind", kind, KINDS)
            query = query.where(schema.RECORDS.c.kind == kind)
        if annotator is not None:
            query = query.where(schema.RECORDS.c.annotator == annotator)
        return _of(schema.RECORDS, query, environment)

    def _chunks(self, table: Table, query: Select[Any], after: int = 0) -> Iterator[Row[Any]]:
        # Each chunk is a transaction of its own, so that a slow reader does not hold up checkpoints.
        while True:
            chunk = query.where(table.c.number > after).order_by(table.c.number).limit(_READ)
            with self.reading() as connection:
                rows = connection.execute(chunk).all()
            yield from rows
            if len(rows) < _READ:
                return
            after = rows[-1].number

    def _forms(self, table: Table, query: Select[Any], after: int = 0) -> Iterator[Any]:
        return (form_of_row(row, self.where) for row in self._chunks(table, query, after))

    def _check_items(self, connection: Connection, items: Mapping[str, None]) -> None:
        there = {row.id for row in stored(connection, schema.ITEMS, items)}
        missing = [item for item in items if item not in there]
        if missing:
            raise UnknownItem(
                f"{self.where} does not know the item {several(missing)}: add the items first", missing
            )

    def _check_media(self, items: Iterable[Item]) -> None:
        missing = {one.id: name for one in items for name in one.media if name not in self.folder()}
        if missing:
            what = several([f"{item} shows {name}" for item, name in missing.items()])
            raise MissingMedia(f"item {what}, not in {self.folder().root}: put the media first", missing)


def _of(table: Table, query: Select[Any], environment: str | None) -> Select[Any]:
    """Only rows on items of an environment."""
    if environment is None:
        return query
    items = select(schema.ITEMS.c.id).where(schema.ITEMS.c.environment == environment)
    return query.where(table.c.item.in_(items))


def _url(url: str | Path | URL) -> URL:
    if isinstance(url, URL):
        return url
    if isinstance(url, Path) or "://" not in url:
        return URL.create(dialects.SQLITE, database=str(url))
    try:
        return make_url(url)
    except ArgumentError:
        raise ValueError(f"db={url!r} is no URL: give a file, sqlite:///FILE or postgresql://...") from None


def _check_file(file: str | None, create: bool) -> None:
    if not file or file == ":memory:":
        return
    if Path(file).is_dir():
        raise ValueError(f"{file} is a folder: give the file of a store, as {Path(file) / 'feedback.db'}")
    folder = Path(file).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: make the folder of the store first")
    if not create and not Path(file).exists():
        raise FileNotFoundError(f"{file} does not exist: collect or import feedback first")
