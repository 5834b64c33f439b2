"""``mm-envs feedback export`` and ``import``: a store to a file and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from mm_envs.cli.output import console, print_json, shown

if TYPE_CHECKING:
    from feedback.store import PreferenceStore

_FEW = 5


@dataclass(frozen=True)
class Export:
    """Write what a store holds into a file, whole or not at all.

    Attributes:
        file: The file; one that is there is replaced.
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        format: jsonl: everything, one JSON object a line, media in FILE.media beside it; trl: prompt, chosen
            and rejected, for trainers of language models: pairs alone, without ties.
        id: Only records on this environment.
        json: Print JSON.
    """

    file: tyro.conf.Positional[Path]
    db: str
    format: Literal["jsonl", "trl"] = "jsonl"
    id: str | None = None
    json: bool = False

    def run(self) -> int:
        """Writes and prints."""
        from feedback.store import PreferenceStore, export_jsonl

        if not self.file.absolute().parent.is_dir():
            raise FileNotFoundError(f"{self.file}: there is no folder {self.file.parent}: make it first")
        with PreferenceStore(self.db, create=False) as store:
            if self.format == "trl":
                written, left_out = _write_trl(store, self.file, self.id)
            else:
                written, left_out = export_jsonl(store, self.file, self.id), 0
        if self.json:
            print_json({"file": self.file, "format": self.format, "written": written, "left_out": left_out})
        else:
            console().print(
                f"[bold]{written:,}[/] records in [cyan]{shown(self.file)}[/], {left_out:,} left out",
                soft_wrap=True,
            )
        return 0


@dataclass(frozen=True)
class Import:
    """Take a file into a store, all of it or nothing. What is there already is not taken twice.

    Attributes:
        file: The file: of mm-envs feedback export, or JSON Lines with prompt, chosen and rejected.
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        format: What the file is; auto looks at its first line.
        annotator: With trl: who chose, where a row does not say it.
        skip: Leave out what is wrong, and say so, instead of taking nothing.
        json: Print JSON.
    """

    file: tyro.conf.Positional[Path]
    db: str
    format: Literal["auto", "jsonl", "trl"] = "auto"
    annotator: str = "trl"
    skip: bool = False
    json: bool = False

    def run(self) -> int:
        """Reads, stores and prints."""
        from feedback.preferences import read_jsonl, read_trl
        from feedback.store import PreferenceStore
        from feedback.store.exchange import take
        from feedback.store.media import MediaFolder

        on_error = "skip" if self.skip else "raise"
        kind = _kind(self.file) if self.format == "auto" else self.format
        # Read before the store is opened: a file that is refused shall leave no new, empty store behind.
        if kind == "trl":
            found, media = read_trl(self.file, self.annotator, on_error), None
        else:
            found, media = read_jsonl(self.file, on_error), MediaFolder(f"{self.file}.media")
        with PreferenceStore(self.db) as store:
            arrival = take(store, found, on_error, media)
        if self.json:
            print_json({"file": self.file, "format": kind, **asdict(arrival)})
            return 0
        out = console()
        out.print(
            f"[bold]{arrival.new:,} new[/] records, {arrival.known:,} known, {arrival.items:,} new items",
            soft_wrap=True,
        )
        for fault in arrival.skipped[:_FEW]:
            out.print(f"  [yellow]left out:[/] {shown(fault)}", soft_wrap=True)
        if len(arrival.skipped) > _FEW:
            out.print(f"  ... and {len(arrival.skipped) - _FEW} more")
        return 0


def _write_trl(store: PreferenceStore, file: Path, name: str | None) -> tuple[int, int]:
    """Writes pairs; an item that asks nothing in words is named by its id."""
    from feedback.preferences import write_trl

    until = store.last()
    prompts = {item.id: item.text or item.id for item in store.items(name)}
    return write_trl(file, store.records(until=until, environment=name), prompts)


def _kind(file: Path) -> str:
    """What a file is: ours says so in its first line."""
    from feedback.preferences import jsonl

    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: give a file of JSON Lines")
    with file.open("rb") as opened:
        begin = opened.readline(2**16)
    return "jsonl" if f'"{jsonl.FORMAT}"'.encode() in begin or b'"chosen"' not in begin else "trl"
