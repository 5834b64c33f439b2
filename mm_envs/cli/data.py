"""``mm-envs data``: what a folder of real files holds, what it looks like, and one folder out of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mm_envs.cli.output import console, print_json, shown
from mm_envs.names import at_least, one_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mm_envs.tasks.summary import Summary

_FEW = 5


@dataclass(frozen=True)
class Describe:
    """Say what a folder holds, what is wrong with it, and which environments run on it.

    Attributes:
        path: The folder.
        layout: How to read it; auto recognises it.
        json: Print JSON.
    """

    path: tyro.conf.Positional[Path]
    layout: str = "auto"
    json: bool = False

    def run(self) -> int:
        """Prints the description."""
        from mm_envs.tasks.summary import summarise

        with console(json_output=True).status("reading headers and digests of the files"):
            summary = summarise(self.path, self.layout)
        if self.json:
            print_json(asdict(summary))
        else:
            _print(summary, console())
        return 0


@dataclass(frozen=True)
class Preview:
    """Draw some items of a folder on one sheet, with their values.

    Attributes:
        path: The folder.
        out: The picture to write, PNG or JPEG.
        items: How many items.
        seed: Decides which.
        split: Which split, where the folder says it: all, train, validation or test.
        layout: How to read it; auto recognises it.
        json: Print JSON.
    """

    path: tyro.conf.Positional[Path]
    out: Path
    items: int = 12
    seed: int = 0
    split: str = "all"
    layout: str = "auto"
    json: bool = False

    def run(self) -> int:
        """Draws and writes the sheet."""
        from mm_envs.cli.sheet import SUFFIXES, chosen, draw
        from mm_envs.data.layouts import read_source

        at_least("--items", self.items, 1, "draw at least one item")
        if self.out.suffix.lower() not in SUFFIXES:
            raise ValueError(one_of("--out", self.out.suffix, SUFFIXES))
        source = read_source(self.path, self.layout, on_error="skip")
        records = chosen(source, self.split, self.items, self.seed)
        sheet, faults = draw(records)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(self.out)
        if self.json:
            locations = [record.location for record in records]
            print_json({"out": self.out, "items": locations, "size": sheet.size, "faults": faults})
            return 0
        out = console()
        out.print(
            f"[bold]{len(records)}[/] items of {len(source.records)}: [cyan]{shown(self.out)}[/]",
            soft_wrap=True,
        )
        _print_some(out, "cannot be read", faults)
        return 0


@dataclass(frozen=True)
class Pair:
    """Make one folder out of two: pictures with sounds (or videos) that share a value.

    Both files of a pair are in one split, so that no file is in two; a side that says no splits is split by
    the content of its files.

    Attributes:
        a: The first folder: each of its items gets partners.
        b: The second folder, of another kind of media.
        out: The folder to write.
        by: The field or column that both share.
        per_item: Partners of each item of the first folder.
        seed: Decides who goes with whom.
        link: How files get into the new folder: copy, or hard for hard links.
        skip: Leave bad items out instead of stopping at the first.
        overwrite: Write into a folder that is not empty.
        json: Print JSON.
    """

    a: tyro.conf.Positional[Path]
    b: tyro.conf.Positional[Path]
    out: Path
    by: str = "label"
    per_item: int = 1
    seed: int = 0
    link: Literal["copy", "hard"] = "copy"
    skip: bool = False
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Pairs, writes and prints."""
        from agents.run_folder import fresh_folder
        from mm_envs.data.folder.pairs import pair, write
        from mm_envs.data.layouts import read_source

        on_error = "skip" if self.skip else "raise"
        one, other = read_source(self.a, on_error=on_error), read_source(self.b, on_error=on_error)
        pairing = pair(one, other, self.by, self.seed, self.per_item, on_error)
        fresh_folder(self.out, self.overwrite)
        metadata = write(pairing, (one.root, other.root), self.out, self.link)
        result = {
            "out": self.out,
            "metadata": metadata,
            "by": self.by,
            "pairs": pairing.splits(),
            "items": pairing.items,
            "left_out": pairing.left_out(),
            "skipped": list(pairing.skipped),
        }
        if self.json:
            print_json(result)
            return 0
        out = console()
        splits = ", ".join(f"{count:,} {split}" for split, count in pairing.splits().items())
        out.print(f"[bold]{len(pairing.pairs):,} pairs[/] by {shown(self.by)}: {splits}", soft_wrap=True)
        for folder, items, left in zip((self.a, self.b), pairing.items, pairing.left_out(), strict=True):
            out.print(f"  {left:,} of {items:,} items of {shown(folder)} are in no pair", soft_wrap=True)
        _print_some(out, "left out", pairing.skipped)
        out.print(f"[dim]next: mm-envs data describe {shown(self.out)}[/]", soft_wrap=True)
        return 0


@dataclass(frozen=True)
class Data:
    """Look at a folder of real files, or make one out of two."""

    action: tyro.conf.OmitSubcommandPrefixes[
        tyro.conf.OmitArgPrefixes[
            Annotated[Describe, tyro.conf.subcommand("describe")]
            | Annotated[Preview, tyro.conf.subcommand("preview")]
            | Annotated[Pair, tyro.conf.subcommand("pair")]
        ]
    ]

    def run(self) -> int:
        """Does what was asked for."""
        return self.action.run()


# Printing ---------------------------------------------------------------------------------------------------


def _print(summary: Summary, out: Console) -> None:
    out.print(f"[bold]{shown(summary.path)}[/]: {shown(summary.says)}", soft_wrap=True)
    also = f"; {', '.join(summary.others)} would fit, too" if summary.others else ""
    out.print(f"  layout {summary.layout}{also}")
    counts = ", ".join(f"{count:,} {split}" for split, count in summary.items.items())
    out.print(f"  {sum(summary.items.values()):,} items: {counts} (split by {summary.split_by})")
    out.print(f"  {summary.decoded_bytes / 1e6:,.1f} MB when decoded, pictures to 64x64 pixels")
    if summary.groups:
        columns = ", ".join(f"{name} ({count:,} values)" for name, count in summary.groups.items())
        kept = f"; {summary.group} by default" if summary.group else ""
        out.print(f"  group= keeps together in one split: {shown(columns + kept)}", soft_wrap=True)
    out.print(_table(summary))
    for sentence in summary.warnings:
        out.print(f"[yellow]note:[/] {shown(sentence)}", soft_wrap=True)
    _print_some(out, "left out", summary.faults)
    for one in summary.environments:
        out.print(f"[bold]{one['id']}[/] shows {', '.join(one['sees'])}", soft_wrap=True)
        out.print(f"  [cyan]{shown(one['python'])}[/]\n  [cyan]{shown(one['train'])}[/]", soft_wrap=True)
    if not summary.environments:
        out.print("no environment runs on it: items need a label, captions, or a question and an answer")


def _print_some(out: Console, what: str, sentences: Sequence[str]) -> None:
    if sentences:
        out.print(f"[yellow]{len(sentences):,} {what}:[/]")
        for sentence in sentences[:_FEW]:
            out.print(f"  {shown(sentence)}", soft_wrap=True)
        if len(sentences) > _FEW:
            out.print(f"  and {len(sentences) - _FEW:,} more (--json shows all)")


def _table(summary: Summary) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("field", "items", "what", "examples"):
        table.add_column(heading, justify="right" if heading == "items" else "left")
    for name, one in summary.media.items():
        table.add_row(name, f"{one['files'] + one['arrays']:,}", _size(one), "")
    for name, one in summary.fields.items():
        many = (
            f"{one['least']} to {one['most']} each" if "least" in one else f"{one['different']:,} different"
        )
        examples = " | ".join(str(example) for example in one["examples"])
        table.add_row(name, f"{one['items']:,}", many, shown(examples[:200]))
    return table


def _size(media: Mapping[str, Any]) -> str:
    """The range of sizes of pictures or sounds in a few characters."""
    sizes = []
    if "width" in media:
        sizes.append(f"{_range(media['width'])} x {_range(media['height'])} pixels")
    if "frames" in media:
        sizes.append(f"{_range(media['frames'])} frames")
    if "seconds" in media:
        sizes.append(f"{_range(media['seconds'])} s at {_range(media['sample_rate'])} Hz")
    return ", ".join(sizes)


def _range(ends: Sequence[float]) -> str:
    low, high = (f"{end:.4g}" if isinstance(end, float) else str(end) for end in ends)
    return low if low == high else f"{low}-{high}"
