"""One folder out of two: files of one kind with files of another that share a value."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from mm_envs.data.folder.columns import FIELDS, composed
from mm_envs.data.folder.faults import Faults
from mm_envs.data.folder.items import Item, items_of
from mm_envs.data.records import Media, Source
from mm_envs.names import at_least, one_of

LINKS = ("copy", "hard")
_RESERVED = re.compile(r"(.*_)?file_name|split|captions?|caption_\d+")


@dataclass(frozen=True)
class Pairing:
    """Which items of two sources go together.

    Attributes:
        by: The field or column whose values they share.
        pairs: Items of the one and of the other side.
        values: The shared value of each pair.
        items: How many usable items each side has.
        used: How many of them are in a pair.
        skipped: What was wrong with the others, one sentence each.
    """

    by: str
    pairs: Sequence[tuple[Item, Item]]
    values: Sequence[str]
    items: tuple[int, int]
    used: tuple[int, int]
    skipped: Sequence[str] = field(default=(), repr=False)

    def splits(self) -> dict[str, int]:
        """How many pairs each split has."""
        return dict(Counter(one.split for one, _ in self.pairs))

    def left_out(self) -> tuple[int, int]:
        """How many items of each side are in no pair: their split has none of their value, or enough."""
        return self.items[0] - self.used[0], self.items[1] - self.used[1]


def pair(
    one: Source, other: Source, by: str = "label", seed: int = 0, per_item: int = 1, on_error: str = "raise"
) -> Pairing:
    """Pairs the items of two sources that have the same value.

    Both items of a pair are in one split, so that no file is in two. A side that says no splits is split by
    the content of its files, into the splits that the other one has. Partners are handed out evenly, in an
    order that the seed and the contents decide: the order of the files plays no part in it.

    Args:
        one: A source whose items hold one kind of media, each item of which gets partners.
        other: A source of another kind of media.
        by: A field or a column that both have; values are compared as text.
        seed: Decides who goes with whom.
        per_item: Partners of each item of ``one``, all different; fewer where there are not so many.
        on_error: "raise" or "skip", for files that are missing or lie in two splits.

    Raises:
        ValueError: The sides hold the same kind of media, have no such column, or share no value.
    """
    at_least("per_item", per_item, 1)
    faults = Faults(on_error)
    _refuse_same_media(one, other)
    left, right = _items(one, other, faults), _items(other, one, faults)
    partners: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in right:
        partners[item.split, _value(item, by, other)].append(item)
    for (split, value), items in partners.items():
        items.sort(key=lambda item: _order(seed, split, value, item))
    pairs, values, taken = [], [], Counter[tuple[str, str]]()
    for item in left:
        key = (item.split, _value(item, by, one))
        items = partners.get(key, [])
        for _ in range(min(per_item, len(items))):
            pairs.append((item, items[taken[key] % len(items)]))
            values.append(key[1])
            taken[key] += 1
    if not pairs:
        raise ValueError(
            f"{one.root} and {other.root} share no value of {by!r} within a split: "
            f"the one has {_some(left, by, one)}, the other {_some(right, by, other)}"
        )
    used = (len({id(first) for first, _ in pairs}), len({id(second) for _, second in pairs}))
    skipped = (*one.skipped, *other.skipped, *faults.sentences)
    return Pairing(by, pairs, values, (len(left), len(right)), used, skipped)


def write(pairing: Pairing, roots: tuple[Path, Path], out: Path, link: str = "copy") -> Path:
    """Writes pairs as a folder with ``metadata.jsonl``.

    The files lie in a directory for each kind of media, under the names that they have in their own folder;
    pictures that are arrays are written as PNG. Values and columns of both sides are carried over; where both
    have one of a name, it becomes ``image_<name>``, ``audio_<name>`` and so on.

    Args:
        pairing: The pairs.
        roots: The folders of the two sides.
        out: The folder to write into; it has to be empty.
        link: "copy", or "hard" for hard links, which take no room and need both folders on one disk.

    Returns:
        The path of ``metadata.jsonl``.

    Raises:
        ValueError: ``link`` is unknown, or the files cannot be linked.
    """
    if link not in LINKS:
        raise ValueError(one_of("link", link, LINKS))
    written: dict[Any, str] = {}
    clashes = _clashes(pairing)
    path = out / "metadata.jsonl"
    lines = []
    for both, value in zip(pairing.pairs, pairing.values, strict=True):
        said = {pairing.by: value, "split": both[0].split, **_carried(both, pairing.by, clashes)}
        row: dict[str, Any] = {}
        for item, root in zip(both, roots, strict=True):
            for name, media in item.record.media.items():
                key = (name, media if isinstance(media, Path) else id(media))
                if key not in written:
                    written[key] = _put(media, name, root, out, len(written), link)
                row[f"{name}_file_name"] = written[key]
        lines.append(_line(row | said, both))
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return path


def _line(row: Mapping[str, Any], both: tuple[Item, Item]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, default=str, allow_nan=False) + "\n"
    except ValueError:
        places = " or ".join(item.record.place for item in both)
        raise ValueError(f"{places}: a number is infinite or none (NaN): mend it or leave it out") from None


def _refuse_same_media(one: Source, other: Source) -> None:
    kinds = [{name for record in source.records for name in record.media} for source in (one, other)]
    if both := kinds[0] & kinds[1]:
        raise ValueError(
            f"{one.root} and {other.root} both hold {' and '.join(sorted(both))}: pair different media"
        )


def _items(source: Source, other: Source, faults: Faults) -> list[Item]:
    items = items_of(source.records, source.root, "auto", source.group, None, faults)
    said = {record.split for record in other.records if record.split}
    if any(record.split for record in source.records) or not said:
        return items
    # Splits by hash have all three parts; what the other side does not have would find no partner.
    return [item if item.split in said else replace(item, split="train") for item in items]


def _value(item: Item, by: str, source: Source) -> str:
    record = item.record
    value = record.values.get(by, record.columns.get(by))
    if value is None or isinstance(value, (list, dict)):
        known = sorted({*record.values, *record.columns})
        raise ValueError(f"{source.root / record.place}: {one_of('by', by, known)}")
    return composed(str(value))


def _order(seed: int, split: str, value: str, item: Item) -> bytes:
    said = json.dumps([seed, split, value, sorted(item.digests.items()), item.record.place])
    return sha256(said.encode()).digest()


def _some(items: Sequence[Item], by: str, source: Source) -> str:
    values = sorted({f"{_value(item, by, source)} ({item.split})" for item in items})
    return ", ".join(values[:5]) + (", ..." if len(values) > 5 else "")


def _put(media: Media, name: str, root: Path, out: Path, number: int, link: str) -> str:
    """Puts one file into the folder; returns its name there."""
    if isinstance(media, np.ndarray):
        from PIL import Image

        made = f"{name}/{number:06}.png"
        _clear(out / made)
        Image.fromarray(media).save(out / made)
        return made
    made = f"{name}/{media.relative_to(root).as_posix()}"
    _clear(out / made)
    if link == "copy":
        shutil.copyfile(media, out / made)
        return made
    try:
        os.link(media, out / made)
    except OSError as error:
        raise ValueError(f"{media} cannot be linked to {out} ({error.strerror}): use link='copy'") from None
    return made


def _clear(path: Path) -> None:
    """Makes room for a file: one that is there may be a hard link, and writing would change what it is of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _facts(item: Item, by: str) -> Iterator[tuple[str, Any]]:
    """What an item says besides its files: columns that mean nothing else to a reader, then the values."""
    for name, value in item.record.columns.items():
        if name != by and name not in FIELDS and not _RESERVED.fullmatch(name):
            yield name, value
    for name, value in item.record.values.items():
        if name != by:
            yield name, value


def _clashes(pairing: Pairing) -> set[str]:
    sides = [{name for both in pairing.pairs for name, _ in _facts(both[i], pairing.by)} for i in (0, 1)]
    return sides[0] & sides[1]


def _carried(both: tuple[Item, Item], by: str, clashes: set[str]) -> Mapping[str, Any]:
    row: dict[str, Any] = {}
    for item in both:
        kind = next(iter(item.record.media))
        row |= {f"{kind}_{name}" if name in clashes else name: value for name, value in _facts(item, by)}
    return row
