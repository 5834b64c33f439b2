"""``mm-envs feedback export`` and ``import``: a store to a file and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from mm_envs.cli.output import console, print_json, shown

_FEW = 5


@dataclass(frozen=True)
class Export:
    """Write what a store holds into a file, whole or not at all.

    Attributes:
        file: The file; one that is there is replaced.
        db: The store: a file, sqlite:///FILE or postgresql+psycopg://...
        format: jsonl: everything, one JSON object a line, media in FILE.media; trl: prompt, chosen
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
        from feedback.store import PreferenceStore, export_jsonl, export_trl

        if not self.file.absolute().parent.is_dir():
            raise FileNotFoundError(f"{self.file}: there is no folder {self.file.parent}: make it first")
        with PreferenceStore(self.db, create=False) as store:
            if self.format == "trl":
                written, left_out = export_trl(store, self.file, self.id)
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
        from feedback.store import import_file

        on_error = "skip" if self.skip else "raise"
        kind, arrival = import_file(self.db, self.file, self.format, self.annotator, on_error)
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
