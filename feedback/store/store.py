"""The preference store: what was said, kept once and for all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from sqlalchemy import Connection, Row, Select, Table, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from feedback.preferences.items import Item
from feedback.preferences.records import KINDS, Record
from feedback.preferences.serial import same
from feedback.store import dialects, schema
from feedback.store.errors import Conflict, MissingMedia, UnknownItem, in_one_sentence, several
from feedback.store.media import LARGEST, MediaFolder
from feedback.store.rows import cure, distinct, form_of_row, row_of, said, stored, write
from mm_envs.names import one_of

_READ = 1000


@dataclass(frozen=True)
class Receipt:
    """What became of records that were submitted; all of them are on the disk.

    Attributes:
        new: The ids of those that were written.
        known: The ids of those that were there already, and say the same.
        items: The ids of the items that were new.
    """

    new: tuple[str, ...]
    known: tuple[str, ...]
    items: tuple[str, ...] = ()


class PreferenceStore:
    """Feedback in a database that only grows.

    A record is named by its kind, its query and its annotator (``record_id``): what is submitted twice is
    kept once, and another answer to the same question is refused. A batch is written whole or not at all, and
    when ``add`` returns it has reached the disk. Any number of processes and threads may write at once: they
    wait for each other. Readers wait for nobody.

    Args:
        url: A file, or a URL as SQLAlchemy has it: ``sqlite:///FILE``, ``postgresql+psycopg://...``.
        media: The folder of content-addressed files; by default ``FILE.media`` beside a file.
        create: Whether a store that is not there is made.
        timeout: How many seconds a writer waits for others.
        largest: The largest file of media, in bytes.

    Raises:
        ValueError: It is a database of something else, damaged, or of a version that is not known here.
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
        with self._read() as connection:
            version = schema.reached(connection, self.where)
        if not version and not create:
            raise FileNotFoundError(
                f"{self.where} holds no preference store: collect or import feedback first"
            )
        with in_one_sentence(self.where):
            dialects.prepare(self._engine, timeout)
        if version < schema.VERSION:
            with self._write() as connection:
                schema.bring_up(connection)

    # Records ----------------------------------------------------------------------------------------------

    def add(self, records: Iterable[Record], items: Iterable[Item] = ()) -> int:
        """Writes records: ``submit``, and how many of them were new."""
        return len(self.submit(records, items).new)

    def submit(self, records: Iterable[Record], items: Iterable[Item] = ()) -> Receipt:
        """Writes items and records on them, all or none.

        Returns:
            Which records were new, and which were known.

        Raises:
            UnknownItem: A record speaks of an item that is neither stored nor given.
            Conflict: The annotator has said something else on the same question, or an item of the same id is
                another one.
            MissingMedia: A file that an item shows is not in the folder of media.
            ValueError: Something is no record.
        """
        given, about = distinct(records, same), distinct(items, Item.covers)
        self._check_media(about.values())
        with self._write() as connection:
            dialects.lock(connection, [schema.ITEMS.name, schema.RECORDS.name])
            made = self._insert(connection, schema.ITEMS, about, Item.covers)
            self._check_items(connection, dict.fromkeys(one.item for one in given.values()))
            new = self._insert(connection, schema.RECORDS, given, same)
        known = tuple(name for name in given if name not in new)
        return Receipt(tuple(new), known, tuple(made))

    def records(
        self,
        kind: str | None = None,
        annotator: str | None = None,
        after: int = 0,
        until: int | None = None,
        environment: str | None = None,
    ) -> Iterator[Record]:
        """The records in the order in which they came, read little by little.

        Args:
            kind: Of this kind only.
            annotator: Of this annotator only.
            after: Only those behind this place; ``last`` says where the store ends.
            until: Only those up to this place.
            environment: Only those on items of this environment.

        Raises:
            ValueError: There is no such kind, or a record is damaged.
        """
        query = self._chosen(select(schema.RECORDS), kind, annotator, environment)
        if until is not None:
            query = query.where(schema.RECORDS.c.number <= until)
        return cast("Iterator[Record]", self._rows(schema.RECORDS, query, after))

    def count(
        self, kind: str | None = None, annotator: str | None = None, environment: str | None = None
    ) -> int:
        """How many records there are."""
        query = self._chosen(select(func.count()).select_from(schema.RECORDS), kind, annotator, environment)
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def last(self) -> int:
        """The place of the last record; 0 for none. Places grow, and a record never comes before one read."""
        with self._read() as connection:
            return int(connection.execute(select(func.max(schema.RECORDS.c.number))).scalar() or 0)

    def annotators(self) -> dict[str, int]:
        """The annotators, by name, and how many records each has given."""
        who = schema.RECORDS.c.annotator
        with self._read() as connection:
            rows = connection.execute(select(who, func.count()).group_by(who).order_by(who)).all()
        return {name: int(count) for name, count in rows}

    # Items ------------------------------------------------------------------------------------------------

    def add_items(self, items: Iterable[Item]) -> int:
        """Makes items known, all or none.

        Returns:
            How many were new.

        Raises:
            Conflict: An item of that id is stored and says something else.
            MissingMedia: A file that an item shows is not in the folder of media.
            ValueError: Something is no item.
        """
        given = distinct(items, Item.covers)
        self._check_media(given.values())
        with self._write() as connection:
            dialects.lock(connection, [schema.ITEMS.name])
            return len(self._insert(connection, schema.ITEMS, given, Item.covers))

    def items(self, environment: str | None = None) -> Iterator[Item]:
        """The items, in the order in which they came."""
        query = select(schema.ITEMS)
        if environment is not None:
            query = query.where(schema.ITEMS.c.environment == environment)
        return cast("Iterator[Item]", self._rows(schema.ITEMS, query, 0))

    # Media ------------------------------------------------------------------------------------------------

    def put_media(self, content: bytes, suffix: str = "") -> str:
        """Keeps a picture, a sound or a video beside the database, as ``MediaFolder.put``.

        Raises:
            ValueError: The store has no folder for it, or the file is too large.
        """
        return self.folder().put(content, suffix)

    def get_media(self, name: str) -> bytes:
        """A picture, a sound or a video, compared with its name, as ``MediaFolder.get``."""
        return self.folder().get(name)

    def folder(self) -> MediaFolder:
        """The folder of media.

        Raises:
            ValueError: The store has none.
        """
        if self.media is None:
            raise ValueError(f"{self.where} has no folder of media: give media=FOLDER")
        return self.media

    # The whole --------------------------------------------------------------------------------------------

    def verify(self) -> tuple[str, ...]:
        """Reads everything, media included.

        Returns:
            One sentence for each thing that is wrong.
        """
        found: list[str] = []
        with self._read() as connection:
            found += [f"{self.where}: {fault}" for fault in dialects.faults(connection)]
        for table in (schema.ITEMS, schema.RECORDS):
            for row in self._chunks(table, select(table), 0):
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

    # Behind -----------------------------------------------------------------------------------------------

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        self._check_process()
        with in_one_sentence(self.where), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        self._check_process()
        with in_one_sentence(self.where), self._writing.begin() as connection:
            yield connection

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(f"{self.where} was opened by another process: open it anew after a fork")

    def _chosen(
        self, query: Select[Any], kind: str | None, annotator: str | None, environment: str | None
    ) -> Select[Any]:
        if kind is not None:
            if kind not in KINDS:
                raise ValueError(one_of("kind", kind, KINDS))
            query = query.where(schema.RECORDS.c.kind == kind)
        if annotator is not None:
            query = query.where(schema.RECORDS.c.annotator == annotator)
        if environment is not None:
            of_it = select(schema.ITEMS.c.id).where(schema.ITEMS.c.environment == environment)
            query = query.where(schema.RECORDS.c.item.in_(of_it))
        return query

    def _chunks(self, table: Table, query: Select[Any], after: int) -> Iterator[Row[Any]]:
        # Each chunk is a transaction of its own: who reads slowly keeps nobody from tidying up.
        while True:
            chunk = query.where(table.c.number > after).order_by(table.c.number).limit(_READ)
            with self._read() as connection:
                rows = connection.execute(chunk).all()
            yield from rows
            if len(rows) < _READ:
                return
            after = rows[-1].number

    def _rows(self, table: Table, query: Select[Any], after: int) -> Iterator[Record | Item]:
        return (form_of_row(row, self.where) for row in self._chunks(table, query, after))

    def _insert(
        self,
        connection: Connection,
        table: Table,
        given: Mapping[str, Any],
        agree: Callable[[Any, Any], bool],
    ) -> dict[str, None]:
        """Inserts what is not stored yet, and says what that was."""
        rows, differing = {name: row_of(one) for name, one in given.items()}, []
        for row in stored(connection, table, given):
            written = rows.pop(row.id)
            if row.digest != written["digest"] and not agree(form_of_row(row, self.where), given[row.id]):
                differing.append(row.id)
        if differing:
            what, remedy = several([said(given[name]) for name in differing]), cure(given[differing[0]])
            raise Conflict(f"{self.where} holds something else on {what}: {remedy}", differing)
        write(connection, table, list(rows.values()))
        return dict.fromkeys(rows)

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
