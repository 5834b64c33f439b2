"""Processes that write to a store: killed at random moments, and eight at once."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.experiments.store_faults.examples import (
    ITEMS,
    MEDIA_EVERY,
    batch_of,
    media_of,
    write_version_1,
)
from feedback.preferences import Pairwise
from feedback.store import PreferenceStore
from feedback.store.schema import VERSION

WRITING, MAKING, MIGRATING = KINDS = ("writing", "making the store", "migrating it")
# The longest time until a process is killed, in seconds: after the first batch, or after its start.
_MAX_SECONDS = {WRITING: 0.15, MAKING: 0.1, MIGRATING: 0.1}
_WRITERS_A_STORE = 20
ENDING = ".bin"
_PATIENCE = 60.0
_OLD = 50


@dataclass(frozen=True)
class Killed:
    """Counts over writers that were killed.

    Attributes:
        killed: Their number.
        acknowledged: Records whose ``add`` had returned.
        lost: Those that are not stored, or differ.
        unacknowledged: Writers after which a batch is stored that was not acknowledged, or a store was begun.
        torn: Batches that are stored in part.
        twice: Records counted as new when they were submitted again.
        faults: Sentences of ``verify``, and of stores that did not open.
    """

    killed: int = 0
    acknowledged: int = 0
    lost: int = 0
    unacknowledged: int = 0
    torn: int = 0
    twice: int = 0
    faults: int = 0

    def __add__(self, other: Killed) -> Killed:
        return Killed(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def sound(self) -> bool:
        """Whether nothing was lost and nothing is wrong."""
        return not (self.lost or self.torn or self.twice or self.faults)


def kill_writers(count: int, root: Path, kind: str, seed: int) -> Killed:
    """Kills writers one after another, and checks the store after each.

    Args:
        count: The number of writers.
        root: A folder for the stores.
        kind: One of ``KINDS``: what the writers do.
        seed: Decides the moments.
    """
    found = Killed()
    for number in range(count):
        draw = Random(f"{seed} {number}")
        shared = root / f"written-{number // _WRITERS_A_STORE}.db"
        file = shared if kind == WRITING else root / f"{number}.db"
        if kind == MIGRATING:
            write_version_1(file, (one for batch in range(_OLD) for one in batch_of("old", batch)))
        acknowledged = _kill(file, f"writer {number}", kind, _MAX_SECONDS[kind] * draw.random() ** 2)
        begun = Killed(unacknowledged=_begun(file))
        found += begun + _look(file, f"writer {number}", acknowledged, kind)
    return found


def _kill(file: Path, annotator: str, kind: str, seconds: float) -> int:
    """The number of batches that a writer had acknowledged when it was killed."""
    mine, its = _context().Pipe(duplex=False)
    process = _context().Process(target=_write, args=(str(file), annotator, its))
    process.start()
    its.close()
    messages = [_next(mine)]
    if kind == WRITING:
        messages.append(_next(mine))
    time.sleep(seconds)
    process.kill()
    process.join(_PATIENCE)
    while (one := _next(mine)) is not None:
        messages.append(one)
    if process.exitcode != -9:
        raise RuntimeError(f"a writer ended with exit status {process.exitcode} before it was killed")
    return len([one for one in messages if one is not None]) - 1


def _write(file: str, annotator: str, acknowledged: Any) -> None:
    """Writes until it is killed; sends "begun", and the number of each acknowledged batch."""
    acknowledged.send_bytes(b"begun")
    with PreferenceStore(file) as store:
        for batch in count():
            if batch % MEDIA_EVERY == 0:
                store.put_media(media_of(annotator, batch), ENDING)
            store.add(batch_of(annotator, batch), ITEMS)
            acknowledged.send_bytes(b"%d" % batch)


def _next(connection: Any) -> bytes | None:
    """The next message; None after the last one (a process may be killed while it sends)."""
    try:
        message: bytes | None = connection.recv_bytes() if connection.poll(_PATIENCE) else None
    except (EOFError, OSError):
        return None
    return message


def _look(file: Path, annotator: str, acknowledged: int, kind: str) -> Killed:
    """Compares a store with the acknowledged batches, and submits everything once more."""
    try:
        with PreferenceStore(file) as store:
            there = {one.query: one for one in store.records(annotator=annotator)}
            batches = [batch_of(annotator, batch) for batch in range(acknowledged + 1)]
            kept = [_kept(batch, there) for batch in batches]
            lost = sum(len(batch) - held for batch, held in zip(batches[:-1], kept[:-1], strict=True))
            lost += sum(_media_lost(store, annotator, batch) for batch in range(0, acknowledged, MEDIA_EVERY))
            if kind == MIGRATING:
                old = [batch_of("old", batch) for batch in range(_OLD)]
                lost += sum(map(len, old)) - store.count(annotator="old")
            before, written = store.count(), kept[-1] > 0
            new = sum(store.add(batch, ITEMS) for batch in batches)
            return Killed(
                killed=1,
                acknowledged=sum(map(len, batches[:-1])),
                lost=lost + len(there) - sum(kept),
                unacknowledged=int(written),
                torn=int(written and kept[-1] < len(batches[-1])),
                twice=abs(new - (0 if written else len(batches[-1]))) + abs(store.count() - before - new),
                faults=len(store.verify()),
            )
    except (ValueError, OSError):
        return Killed(killed=1, faults=1)


def _begun(file: Path) -> bool:
    """Whether a store was begun and not finished: it is made, or migrated, in one transaction."""
    if not any(Path(f"{file}{ending}").exists() for ending in ("-wal", "-journal")):
        return file.exists() and file.stat().st_size == 0
    with closing(sqlite3.connect(file)) as raw:
        try:
            return bool(raw.execute("SELECT max(version) < ? FROM feedback_schema", (VERSION,)).fetchone()[0])
        except sqlite3.OperationalError:  # there is no such table
            return True


def _media_lost(store: PreferenceStore, annotator: str, batch: int) -> bool:
    content = media_of(annotator, batch)
    try:
        return store.get_media(f"sha256:{hashlib.sha256(content).hexdigest()}{ENDING}") != content
    except (ValueError, OSError):
        return True


def _kept(batch: Sequence[Pairwise], there: dict[str, Any]) -> int:
    return sum(there.get(one.query) == one for one in batch)


# Eight at once --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crowd:
    """The result of writers that wrote at once.

    Attributes:
        writers: Their number.
        submitted: Records that were submitted, those of others once more included.
        right: Whether exactly the distinct ones are stored, each counted as new once.
        errors: Sentences of writers.
        faults: Sentences of ``verify``.
        longest: The longest time that one ``add`` took, in seconds.
    """

    writers: int
    submitted: int
    right: bool
    errors: tuple[str, ...]
    faults: tuple[str, ...]
    longest: float


def write_at_once(writers: int, batches: int, file: Path) -> Crowd:
    """Runs processes that write to a new store; half of their records are the same."""
    begin = _context().Event()
    pipes = []
    for number in range(writers):
        mine, its = _context().Pipe(duplex=False)
        process = _context().Process(target=_hurry, args=(str(file), number, batches, begin, its))
        process.start()
        its.close()
        pipes.append((process, mine))
    for _, mine in pipes:
        mine.recv()
    begin.set()
    results = [mine.recv() for _, mine in pipes]
    for process, _ in pipes:
        process.join(_PATIENCE)
    own = [
        one
        for number in range(writers)
        for batch in range(batches)
        for one in batch_of(f"writer {number}", batch)
    ]
    shared = [one for batch in range(batches) for one in batch_of("all", batch)]
    with PreferenceStore(file) as store:
        right = store.count() == len(own) + len(shared) == sum(one["new"] for one in results)
        faults = store.verify()
    errors = tuple(one["error"] for one in results if one["error"])
    longest = max(one["longest"] for one in results)
    return Crowd(writers, len(own) + writers * len(shared), right, errors, faults, longest)


def _hurry(file: str, number: int, batches: int, begin: Any, connection: Any) -> None:
    connection.send("begun")
    begin.wait(_PATIENCE)
    new, longest, error = 0, 0.0, ""
    try:
        with PreferenceStore(file) as store:
            for batch in range(batches):
                for annotator in (f"writer {number}", "all"):
                    start = time.monotonic()
                    new += store.add(batch_of(annotator, batch), ITEMS)
                    longest = max(longest, time.monotonic() - start)
    except (ValueError, OSError) as raised:
        error = str(raised)
    connection.send({"new": new, "longest": longest, "error": error})


def _context() -> Any:
    """Where processes come from: forked from one that has imported all this and done nothing else."""
    context: Any = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
    if hasattr(os, "fork"):
        context.set_forkserver_preload([__name__])
    return context
