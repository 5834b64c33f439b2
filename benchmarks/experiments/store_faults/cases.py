"""What is wrong with stores, files and submissions, and the sentence that each has to raise."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.experiments.store_faults.examples import ITEMS, label, media_of
from feedback.preferences import Item, read_trl
from feedback.preferences.lines import LONGEST_LINE
from feedback.store import PreferenceStore, export_jsonl, import_jsonl
from feedback.store.schema import VERSION

LABELS, LINES = 30, 42
STORE, FILE = "labels.db", "labels.jsonl"
UNKNOWN = Item.of_text("Unknown.")
_DAMAGED = r"is damaged|is no SQLite database|lacks|has schema version|row \d+ is damaged"


@dataclass(frozen=True)
class Case:
    """One thing that is wrong.

    Attributes:
        group: "submissions", "JSON Lines", "files" or "media".
        kind: What is wrong.
        act: The fault, in a folder that holds a store and its export.
        sentence: A pattern of the error; empty for none.
        keeps: Whether the store has to hold the same afterwards.
    """

    group: str
    kind: str
    act: Callable[[Path, Random], Any]
    sentence: str
    keeps: bool = True


def make(folder: Path) -> None:
    """Fills a folder with a store of 30 labels, and what it exports."""
    with PreferenceStore(folder / STORE) as store:
        shown = Item(id="sha256:" + "1" * 64, media=(store.put_media(media_of("ann", 0), ".png"),))
        store.submit([label("ann", number) for number in range(LABELS)], [*ITEMS, shown])
        export_jsonl(store, folder / FILE)


def held(folder: Path) -> Any:
    """Everything that the store of a folder holds."""
    with PreferenceStore(folder / STORE, create=False) as store:
        return list(store.records()), list(store.items()), store.verify(), store.last()


def tried(case: Case, folder: Path, draw: Random) -> str:
    """Applies the fault; why the outcome is not the expected one, empty if it is."""
    make(folder)
    before, message = held(folder), None
    try:
        case.act(folder, draw)
    except (ValueError, OSError) as error:
        message = str(error)
    except Exception as error:  # an error that no caller expects is a finding
        return f"{type(error).__name__}: {error}"
    if bool(case.sentence) == (message is None):
        return "no error" if message is None else f"the error {message!r}"
    if message is not None and ("\n" in message or not re.search(case.sentence, message)):
        return f"another sentence: {message!r}"
    return "the store has changed" if case.keeps and held(folder) != before else ""


def cases(draws: int) -> Iterator[Case]:
    """All cases; those with a random position ``draws`` times."""
    yield from _submissions()
    yield from _lines(draws)
    yield from _files(draws)
    yield from _media()


# Submissions ----------------------------------------------------------------------------------------------


def _adding(*records: Any) -> Callable[[Path, Random], Any]:
    def act(folder: Path, draw: Random) -> None:
        with PreferenceStore(folder / STORE) as store:
            store.add(records)

    return act


def _submissions() -> Iterator[Case]:
    group, good = "submissions", label("ann", 3)
    contrary = label("ann", 3, "tie")
    unknown = replace(good, item=UNKNOWN.id)
    for kind, act, sentence in (
        ("the same again", _adding(good, label("ann", 4)), ""),
        ("the same again, later", _adding(replace(good, time=9.0, latency=1.0)), ""),
        ("nothing at all", _adding(), ""),
        ("another answer", _adding(contrary), "holds something else on pairwise query"),
        ("another answer among new ones", _adding(label("bob", 1), contrary), "holds something else"),
        ("two answers in one batch", _adding(label("bob", 1), label("bob", 1, "tie")), "holds two versions"),
        ("an unknown item", _adding(unknown), f"does not know the item {UNKNOWN.id}"),
        ("an unknown item among known ones", _adding(label("bob", 1), unknown), "does not know the item"),
        ("a dict", _adding({"kind": "pairwise"}), "is no record"),
        ("a choice of nothing", lambda *_: replace(good, choice="left"), "choice='left' is not one of first"),
        ("one answer", lambda *_: replace(good, answers=("a",)), "answers has 1 texts: give 2"),
        ("a latency of nan", lambda *_: replace(good, latency=float("nan")), "latency=nan is no finite"),
        ("half a surrogate", lambda *_: replace(good, answers=("a", "\udc00")), "that is no text"),
    ):
        yield Case(group, kind, act, sentence)
    yield Case(group, "another item of the same id", _another_item, "holds something else on item")
    yield Case(group, "while another writes on and on", _locked, "is locked: another process has written")


def _another_item(folder: Path, draw: Random) -> None:
    with PreferenceStore(folder / STORE) as store:
        store.add_items([replace(ITEMS[0], text="another question")])


def _locked(folder: Path, draw: Random) -> None:
    with closing(sqlite3.connect(folder / STORE, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with PreferenceStore(folder / STORE, timeout=0.05) as store:
            store.add([label("bob", 1)])


# JSON Lines -----------------------------------------------------------------------------------------------


def _importing(
    change: Callable[[list[bytes], Random], list[bytes]], **arguments: Any
) -> Callable[[Path, Random], Any]:
    """Takes the exported file into the store after its lines were changed."""

    def act(folder: Path, draw: Random) -> None:
        file = folder / FILE
        file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True), draw)))
        with PreferenceStore(folder / STORE) as store:
            import_jsonl(store, file, **arguments)

    return act


def _instead(line: bytes) -> Callable[[list[bytes], Random], list[bytes]]:
    """Another line in some place behind the first."""

    def change(lines: list[bytes], draw: Random) -> list[bytes]:
        index = draw.randrange(1, len(lines))
        return [*lines[:index], line + b"\n", *lines[index:]]

    return change


def _field(**changed: Any) -> Callable[[list[bytes], Random], list[bytes]]:
    """A label with other fields; None takes one away."""

    def change(lines: list[bytes], draw: Random) -> list[bytes]:
        value = {**json.loads(lines[-1]), **changed}
        line = json.dumps({name: one for name, one in value.items() if one is not None})
        return [*lines[:-1], line.encode() + b"\n"]

    return change


def _first(**changed: Any) -> Callable[[list[bytes], Random], list[bytes]]:
    return lambda lines, draw: [json.dumps({**json.loads(lines[0]), **changed}).encode() + b"\n", *lines[1:]]


def _lines(draws: int) -> Iterator[Case]:
    group, line = "JSON Lines", r"labels\.jsonl, line \d+: "
    for kind, change, sentence in (
        ("the same file again", lambda lines, draw: lines, ""),
        ("a line of nothing", _instead(b"nonsense"), f"{line}it is no JSON"),
        ("a list", _instead(b"[1, 2]"), f"{line}.* is no JSON object"),
        ("bytes that are no text", _instead(b"\xff\xfe\x00"), f"{line}it is not UTF-8"),
        ("a line without end", _instead(b"x" * (LONGEST_LINE + 9)), f"{line}it is longer than"),
        ("a line nested too deep", _instead(b"[" * 200_000), f"{line}it is nested too deep"),
        ("a key twice", _instead(b'{"kind":"item","kind":"item"}'), f"{line}it names a key twice"),
        ("an unknown kind", _field(kind="opinion"), f"{line}kind='opinion' is not one of"),
        ("an unknown field", _field(colour="red"), f"{line}pairwise has no field 'colour'"),
        ("a missing field", _field(annotator=None), f"{line}pairwise lacks the field 'annotator'"),
        ("a number for a text", _field(query=7), f"{line}pairwise record: query=7 is no text"),
        ("a nan", _field(time=float("nan")), f"{line}pairwise record: time=nan is no finite number"),
        (
            "answers in an object",
            _field(answers={"a": 1, "b": 2}),
            f"{line}pairwise record: answers is a dict",
        ),
        ("an unknown item", _field(item=UNKNOWN.id), "holds something else|does not know the item"),
        ("a new label on an unknown item", _field(item=UNKNOWN.id, query="new"), "does not know the item"),
        ("another answer", _field(choice="skip"), "holds something else on pairwise query"),
        ("a newer version", _first(version=9), "version=9 is not one of those known here"),
        ("a version in words", _first(version="two"), "version='two' is not one of"),
        ("another first field", _first(colour=1), "its first line has a field 'colour'"),
        ("no first line", lambda lines, draw: lines[1:], "its first line does not say 'mm-envs preferences'"),
        ("nothing at all", lambda lines, draw: [], "its first line does not say 'mm-envs preferences'"),
    ):
        yield Case(group, kind, _importing(change), sentence)
    elsewhere = _importing(_first(environment="MMCaption-v0"), environment="MMVQA-v0")
    yield Case(group, "another environment", elsewhere, "is of environment 'MMCaption-v0', and 'MMVQA-v0'")
    for kind, act, sentence in (
        ("half of the last line", _importing(_half), f"{line}is half-written: "),
        ("half of the last line, skipped", _skip_half, ""),
        ("half of the first line", _importing(_half_first), f"{line}it is no JSON"),
    ):
        for _ in range(draws):
            yield Case(group, kind, act, sentence)
    for kind, row, sentence in (
        ("a pair without rejected", {"chosen": "a"}, "there is no column 'rejected'"),
        ("a pair of one answer", {"prompt": "p", "chosen": "a", "rejected": "a"}, "are both 'a'"),
        ("a pair of numbers", {"prompt": "p", "chosen": 1, "rejected": 2}, "chosen=1 is neither a text nor"),
    ):
        yield Case(group, kind, _pairs(row), rf"line 1: .*{sentence}")


def _half(lines: list[bytes], draw: Random) -> list[bytes]:
    return [*lines[:-1], lines[-1][: draw.randrange(1, len(lines[-1]) - 1)]]


def _half_first(lines: list[bytes], draw: Random) -> list[bytes]:
    return [lines[0][: draw.randrange(1, len(lines[0]) - 1)]]


def _skip_half(folder: Path, draw: Random) -> None:
    file = folder / FILE
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(_half(lines, draw)))
    with PreferenceStore(folder / "other.db", media=folder / f"{STORE}.media") as store:
        found = import_jsonl(store, file, on_error="skip")
        if (found.new, len(found.skipped), store.count()) != (LABELS - 1, 1, LABELS - 1):
            raise RuntimeError(f"{found.new} labels were new and {len(found.skipped)} lines skipped")


def _pairs(row: Any) -> Callable[[Path, Random], Any]:
    def act(folder: Path, draw: Random) -> None:
        (folder / "pairs.jsonl").write_text(json.dumps(row) + "\n")
        read_trl(folder / "pairs.jsonl")

    return act


# Files ----------------------------------------------------------------------------------------------------


def _opening(name: str, content: bytes | None = None, create: bool = True) -> Callable[[Path, Random], Any]:
    def act(folder: Path, draw: Random) -> None:
        if content is not None:
            (folder / name).write_bytes(content)
        try:
            PreferenceStore(folder / name, create=create).close()
        finally:
            if content is not None and (folder / name).read_bytes() != content:
                raise RuntimeError(f"{name} was changed")

    return act


def _files(draws: int) -> Iterator[Case]:
    group, foreign = "files", "is no SQLite database: give the file of a store or a new name"
    noise = Random(0).randbytes(20_000)
    for kind, act, sentence in (
        ("a picture", _opening("a.png", b"\x89PNG\r\n\x1a\n" + noise), foreign),
        ("a text", _opening("a.txt", b"some text\n" * 500), foreign),
        ("noise", _opening("noise", noise), foreign),
        ("a file of JSON Lines", lambda folder, draw: PreferenceStore(folder / FILE), foreign),
        ("a folder", lambda folder, draw: PreferenceStore(folder), "is a folder: give the file of a store"),
        ("no such folder", _opening("nowhere/a.db"), "nowhere does not exist: make the folder"),
        ("no such file", _opening("b.db", create=False), "does not exist: collect or import feedback"),
        (
            "an empty file that is to be read",
            _opening("c.db", b"", create=False),
            "holds no preference store",
        ),
        ("another database", _other_database, r"is a database of something else \(it holds contacts\)"),
        ("an unknown URL", lambda *_: PreferenceStore("mysql://host/db"), "db='mysql' is not one of sqlite"),
    ):
        yield Case(group, kind, act, sentence)
    for version in (0, VERSION + 1, 1_000_000):
        yield Case(
            group, f"schema version {version:,}", _versioned(version), f"has schema version {version}, "
        )
    for _ in range(draws):
        yield Case(group, "a store that was cut off", _cut_off, _DAMAGED, keeps=False)
    for _ in range(3 * draws):
        yield Case(group, "a store with a changed byte", _changed, "", keeps=False)


def _other_database(folder: Path, draw: Random) -> None:
    with closing(sqlite3.connect(folder / "other.db")) as raw, raw:
        raw.execute("CREATE TABLE contacts (name TEXT)")
    _opening("other.db", (folder / "other.db").read_bytes())(folder, draw)


def _versioned(version: int) -> Callable[[Path, Random], Any]:
    def act(folder: Path, draw: Random) -> None:
        PreferenceStore(folder / "other.db").close()
        with closing(sqlite3.connect(folder / "other.db")) as raw, raw:
            raw.executescript("DROP TRIGGER feedback_schema_no_delete; DELETE FROM feedback_schema;")
            raw.execute("INSERT INTO feedback_schema VALUES (?, 0.0)", (version,))
        PreferenceStore(folder / "other.db")

    return act


def _cut_off(folder: Path, draw: Random) -> None:
    file = folder / STORE
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(1, len(content) - 1)])
    held(folder)


def _changed(folder: Path, draw: Random) -> None:
    """A changed byte is noticed in one sentence, or has changed nothing that is ever read."""
    before, file = held(folder), folder / STORE
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)
    try:
        after = held(folder)
    except (ValueError, OSError) as error:
        if "\n" in str(error) or str(file) not in str(error):
            raise RuntimeError(f"the sentence does not name the file: {error}") from error
        return
    if after[:2] != before[:2] and not after[2]:
        raise RuntimeError("the store holds something else, and no error was raised")


# Media ----------------------------------------------------------------------------------------------------


def _asking(name: str) -> Callable[[Path, Random], Any]:
    def act(folder: Path, draw: Random) -> None:
        with PreferenceStore(folder / STORE) as store:
            store.get_media(name)

    return act


def _media() -> Iterator[Case]:
    group, name = "media", "is not sha256:, 64 hexadecimal digits and an ending"
    yield Case(group, "a path", _asking("../../../etc/passwd"), name)
    yield Case(group, "a path behind sha256:", _asking("sha256:../../../etc/passwd"), name)
    yield Case(
        group, "an unknown name", _asking("sha256:" + "2" * 64), "does not exist: copy the media along"
    )
    yield Case(group, "too large", _too_large, r"a file of 1,001 bytes is larger than 1,000")
    yield Case(group, "an item of a missing file", _missing_media, "shows sha256:2.*: put the media first")
    yield Case(group, "a changed byte", _changed_media, "is damaged: its content is not that", keeps=False)


def _too_large(folder: Path, draw: Random) -> None:
    with PreferenceStore(folder / STORE, largest=1000) as store:
        store.put_media(bytes(1001))


def _missing_media(folder: Path, draw: Random) -> None:
    with PreferenceStore(folder / STORE) as store:
        store.add_items([Item(id="sha256:" + "3" * 64, media=("sha256:" + "2" * 64,))])


def _changed_media(folder: Path, draw: Random) -> None:
    with PreferenceStore(folder / STORE) as store:
        (name,) = (name for item in store.items() for name in item.media)
        path = store.folder().path(name)
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1
        path.write_bytes(content)
        store.get_media(name)
