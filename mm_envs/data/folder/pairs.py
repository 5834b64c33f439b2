"""Pairs of items of two folders that share a value, written as one folder."""

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

from mm_envs.data.faults import Faults
from mm_envs.data.folder.items import Item, items_of
from mm_envs.data.layouts.columns import FIELDS, composed
from mm_envs.data.records import Media, Source
from mm_envs.names import at_least, check_one_of, one_of

LINKS = ("copy", "hard")
_RESERVED = re.compile(r"(.*_)?file_name|split|captions?|caption_\d+")


@dataclass(frozen=True)
class Pairing:
    """Pairs of items of two sources.

    Attributes:
        by: The field or column whose values they share.
        pairs: An item of each side.
        values: The shared value of each pair.
        items: The number of usable items of each side.
        used: The number of items of each side that are in a pair.
        skipped: One sentence for each item that was left out.
    """

    by: str
    pairs: Sequence[tuple[Item, Item]]
    values: Sequence[str]
    items: tuple[int, int]
    used: tuple[int, int]
    skipped: Sequence[str] = field(default=(), repr=False)

    def splits(self) -> dict[str, int]:
        """Counts the pairs of each split."""
        return dict(Counter(one.split for one, _ in self.pairs))

    def left_out(self) -> tuple[int, int]:
        """Counts the items of each side in no pair: their split has no partner, or too many items."""
        return self.items[0] - self.used[0], self.items[1] - self.used[1]


def pair(
    one: Source, other: Source, by: str = "label", seed: int = 0, per_item: int = 1, on_error: str = "raise"
) -> Pairing:
    """Pairs the items of two sources that have the same value.

    Both items of a pair are in one split. A side without splits is split by the content of its files, into
    the splits of the other one. Partners are used evenly, in an order that depends on the seed and the
    contents, not on the order of the files.

    Args:
        one: A source whose items have one kind of media; each item gets partners.
        other: A source of another kind of media.
        by: A field or a column of both; values are compared as text.
        seed: Seeds the order of partners.
        per_item: The number of partners of each item of ``one``, all different, if there are enough.
        on_error: "raise" or "skip", for files that are missing or in two splits.

    Raises:
        ValueError: The sides have the same kind of media, no such column, or share no value.
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
    """Writes pairs as a folder with ``metadata.jsonl``; returns the path of that file.

    The files are in a directory for each kind of media, under the names in their own folder; arrays are
    written as PNG. Values and columns of both sides are kept; a name that both have becomes ``image_<name>``,
    ``audio_<name>`` and so on.

    Args:
        pairing: The pairs.
        roots: The folders of the two sides.
        out: The empty folder to write into.
        link: "copy", or "hard" for hard links, which need both folders on one disk.

    Raises:
        ValueError: ``link`` is unknown, or the files cannot be linked.
    """
    check_one_of("link", link, LINKS)
    written: dict[Any, str] = {}
    clashes = _clashes(pairing)
    path = out / "metadata.jsonl"
    lines = []
    for both, value in zip(pairing.pairs, pairing.values, strict=True):
        row: dict[str, Any] = {}
        for item, root in zip(both, roots, strict=True):
            for name, media in item.record.media.items():
                key = (name, media if isinstance(media, Path) else id(media))
                if key not in written:
                    written[key] = _put(media, name, root, out, len(written), link)
                row[f"{name}_file_name"] = written[key]
        row |= {pairing.by: value, "split": both[0].split, **_carried(both, pairing.by, clashes)}
        lines.append(_line(row, both))
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return path


def _line(row: Mapping[str, Any], both: tuple[Item, Item]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, default=str, allow_nan=False) + "\n"
    except ValueError:
        locations = " or ".join(item.record.location for item in both)
        raise ValueError(
            f"{locations}: a number is infinite or none (NaN): mend it or leave it out"
        ) from None


def _refuse_same_media(one: Source, other: Source) -> None:
    kinds = [{name for record in source.records for name in record.media} for source in (one, other)]
    if both := kinds[0] & kinds[1]:
        raise ValueError(
            f"{one.root} and {other.root} both hold {' and '.join(sorted(both))}: pair different media"
        )


def _items(source: Source, other: Source, faults: Faults) -> list[Item]:
    items = items_of(source.records, source.root, "auto", source.group, None, faults)
    splits = {record.split for record in other.records if record.split}
    if any(record.split for record in source.records) or not splits:
        return items
    # Items in a split that the other side does not have would get no partner.
    return [item if item.split in splits else replace(item, split="train") for item in items]


def _value(item: Item, by: str, source: Source) -> str:
    record = item.record
    value = record.values.get(by, record.columns.get(by))
    if value is None or isinstance(value, (list, dict)):
        known = sorted({*record.values, *record.columns})
        raise ValueError(f"{source.root / record.location}: {one_of('by', by, known)}")
    return composed(str(value))


def _order(seed: int, split: str, value: str, item: Item) -> bytes:
    key = json.dumps([seed, split, value, sorted(item.digests.items()), item.record.location])
    return sha256(key.encode()).digest()


def _some(items: Sequence[Item], by: str, source: Source) -> str:
    values = sorted({f"{_value(item, by, source)} ({item.split})" for item in items})
    return ", ".join(values[:5]) + (", ..." if len(values) > 5 else "")


def _put(media: Media, name: str, root: Path, out: Path, number: int, link: str) -> str:
    """Writes one file into the folder; returns its name there."""
    inside = media.relative_to(root).as_posix() if isinstance(media, Path) else f"{number:06}.png"
    made = f"{name}/{inside}"
    path = out / made
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # writing to a hard link would change its source
    try:
        if not isinstance(media, Path):
            from PIL import Image

            Image.fromarray(media).save(path)
        elif link == "copy":
            shutil.copyfile(media, path)
        else:
            os.link(media, path)
    except OSError as error:
        if link == "copy":
            raise
        raise ValueError(f"{media} cannot be linked to {out} ({error.strerror}): use link='copy'") from None
    return made


def _facts(item: Item, by: str) -> Iterator[tuple[str, Any]]:
    """Yields columns without a meaning for a reader, then the values of an item."""
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
