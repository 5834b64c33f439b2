"""Stores to files and back: items, queries, labels and revisions, everything but leases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedback.preferences.items import Item
from feedback.preferences.jsonl import FORMAT, Header, Imported, read_jsonl, write_jsonl
from feedback.preferences.query import Query
from feedback.preferences.records import Record
from feedback.preferences.serial import Form
from feedback.preferences.trl import read_trl, write_trl
from feedback.store.errors import Refused
from feedback.store.media import MediaFolder
from feedback.store.rows import described
from feedback.store.store import PreferenceStore


@dataclass(frozen=True)
class Arrival:
    """The outcome of an import.

    Attributes:
        new: How many records were written.
        known: How many were stored already, or twice in the file.
        items: How many items were new.
        skipped: One sentence for each line, item or record that was left out.
    """

    new: int
    known: int
    items: int
    skipped: tuple[str, ...] = ()


def export_jsonl(store: PreferenceStore, path: str | Path, environment: str | None = None) -> int:
    """Writes what a store holds as JSON Lines, and its media into ``PATH.media``.

    Args:
        store: The store; others may write to it meanwhile.
        path: The file; one that is there is replaced.
        environment: Only what belongs to this environment.

    Returns:
        How many records were written.
    """
    end = store.last()
    items = list(store.items(environment))
    media = MediaFolder(f"{path}.media")
    for name in dict.fromkeys(name for item in items for name in item.media):
        media.put(store.get_media(name), Path(media.path(name)).suffix)
    environments = _only({item.environment for item in items})
    vocabularies = _only({item.vocabulary for item in items})
    queries = list(store.queries(environment))
    records = store.records(until=end, environment=environment, history=True)
    written = write_jsonl(path, records, items, environments, vocabularies, queries)
    return written - len(items) - len(queries)


def import_jsonl(
    store: PreferenceStore,
    path: str | Path,
    on_error: str = "raise",
    environment: str | None = None,
    vocabulary: str | None = None,
) -> Arrival:
    """Takes a file into a store, all of it or nothing.

    Args:
        store: The store.
        path: The file; media are looked for in ``PATH.media``.
        on_error: "raise" takes nothing if something is wrong; "skip" leaves out wrong lines, labels for
            unknown items and answers that contradict stored ones, and reports them.
        environment: Refuse the file of another environment.
        vocabulary: Refuse the file of another vocabulary (its digest).

    Raises:
        ValueError: The file is wrong, or contradicts what is stored.
    """
    found = read_jsonl(path, on_error)
    assert found.header is not None
    _compare(path, found.header, environment, vocabulary)
    return take(store, found, on_error, MediaFolder(f"{path}.media"))


def export_trl(store: PreferenceStore, path: str | Path, environment: str | None = None) -> tuple[int, int]:
    """Writes the pairs of a store as ``write_trl``; an item without text is named by its id."""
    end = store.last()
    prompts = {item.id: item.text or item.id for item in store.items(environment)}
    return write_trl(path, store.records(until=end, environment=environment), prompts)


def import_file(
    db: str | Path, path: str | Path, layout: str = "auto", annotator: str = "trl", on_error: str = "raise"
) -> tuple[str, Arrival]:
    """Takes a file into a store that is made if need be; a file that is refused makes none.

    Args:
        db: The store.
        path: The file.
        layout: "jsonl", "trl", or "auto", which looks at the first line.
        annotator: With "trl": the annotator where a row does not name one.
        on_error: As ``import_jsonl``.

    Returns:
        The layout, and what was taken.
    """
    layout = _layout(Path(path)) if layout == "auto" else layout
    if layout == "trl":
        found, media = read_trl(path, annotator, on_error), None
    else:
        found, media = read_jsonl(path, on_error), MediaFolder(f"{path}.media")
    with PreferenceStore(db) as store:
        return layout, take(store, found, on_error, media)


def take(
    store: PreferenceStore, found: Imported, on_error: str = "raise", media: MediaFolder | None = None
) -> Arrival:
    """Takes items and records that were read into a store, as ``import_jsonl``; media from a folder."""
    for name in dict.fromkeys(name for item in found.items for name in item.media):
        if media is not None and name in media and name not in store.folder():
            store.put_media(media.get(name), Path(media.path(name)).suffix)
    given: list[Form] = [*found.items, *found.queries, *found.records]
    skipped = list(found.skipped)
    if on_error == "skip":
        given, twice = _agreeing(given)
        skipped += [f"{described(one)} differs from an earlier one in the file" for one in twice]
        fuller = _fuller(store, [one for one in given if isinstance(one, Item)])
        given = [one for one in given if one not in fuller]
        skipped += [
            f"{described(one)} is left out: the store holds less of it, and keeps that" for one in fuller
        ]
    while True:
        items = [one for one in given if isinstance(one, Item)]
        queries = [one for one in given if isinstance(one, Query)]
        records = [one for one in given if isinstance(one, Record)]
        try:
            receipt = store.submit(records, items, queries)
        except Refused as error:
            if on_error == "raise":
                raise
            gone = [one for one in given if _refused(one, set(error.ids))]
            skipped += [f"{described(one)} is left out: {error}" for one in gone]
            given = [one for one in given if not _refused(one, set(error.ids))]
        else:
            known = len(records) - len(receipt.new)
            return Arrival(len(receipt.new), known, len(receipt.items), tuple(skipped))


def _agreeing(given: list[Form]) -> tuple[list[Form], list[Form]]:
    """Those that agree with the first one of their id, and the others."""
    first: dict[str, Any] = {}
    kept: list[Form] = []
    others: list[Form] = []
    for one in given:
        (kept if first.setdefault(one.id, one).covers(one) else others).append(one)
    return kept, others


def _fuller(store: PreferenceStore, items: list[Item]) -> set[Form]:
    """The items of which the store holds less, and nothing else."""
    given = {one.id: one for one in items}
    pairs = ((one, given[one.id]) for one in store.items() if one.id in given)
    return {new for there, new in pairs if new.covers(there) and not there.covers(new)}


def _refused(form: Form, ids: set[str]) -> bool:
    """Whether it, or the item that it is about, is among some ids."""
    return form.id in ids or (not isinstance(form, Item) and form.item in ids)


def _compare(path: str | Path, header: Header, environment: str | None, vocabulary: str | None) -> None:
    for name, wanted in (("environment", environment), ("vocabulary", vocabulary)):
        there = getattr(header, name)
        if wanted and there and there != wanted:
            raise ValueError(f"{path} is of {name} {there!r}, and {wanted!r} is wanted: take another file")


def _only(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else ""


def _layout(path: Path) -> str:
    """The layout of a file by its first line, in which ours is named."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give a file of JSON Lines")
    with path.open("rb") as file:
        begin = file.readline(2**16)
    return "jsonl" if f'"{FORMAT}"'.encode() in begin or b'"chosen"' not in begin else "trl"
