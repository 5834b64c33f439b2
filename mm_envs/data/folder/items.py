"""Items of a folder before they are decoded: everything that can be checked without decoding a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from os.path import isfile
from pathlib import Path
from typing import Any

from torch import Tensor

from mm_envs.data.dataset import SPLITS
from mm_envs.data.faults import Faults
from mm_envs.data.folder.splits import Content, SplitBy, columns_of, split_records
from mm_envs.data.folder.store import digest_of, in_threads
from mm_envs.data.folder.texts import words_of
from mm_envs.data.layouts.columns import Columns, Mapped, composed
from mm_envs.data.records import MEDIA_FIELDS, Media, Record

_NEEDED = ("label", "question", "answer", "captions", "facts")


@dataclass(frozen=True)
class Item:
    """An item that can be decoded.

    Attributes:
        record: Its files and values.
        digests: The SHA-256 of each file, by field.
        split: "train", "validation" or "test".
        digest: The SHA-256 of its names, contents and values, wherever the folder is.
    """

    record: Record
    digests: Mapping[str, str]
    split: str
    digest: str


def items_of(
    records: Iterable[Record],
    root: Path,
    split_by: SplitBy,
    group: str | None,
    columns: Mapped | None,
    faults: Faults,
) -> list[Item]:
    """Returns the items of some records, ordered by split, then by a hash.

    The order of the records does not matter, and the first few items are a fair sample.

    Raises:
        ValueError: Something is missing, contradictory, or in two splits.
    """
    known = Columns(columns)
    kept = _grouped(_complete(_mapped(records, known, faults), faults), group, faults)
    found = _digested(faults.keep("missing", kept, _missing_file), faults)
    if not found:
        first = faults.sentences[:1]
        why = f" (the first of {len(faults.sentences)} faults: {first[0]})" if first else ""
        raise ValueError(f"{root} has no item that can be used{why}: add one, or correct what is wrong")
    contents = [
        Content(
            _parts(one, files, root), None if group is None else composed(f"{group}={one.columns[group]}")
        )
        for one, files in found
    ]
    kept = [one for one, _ in found]
    if split_by == "auto" and not any(one.split or _names_split(one, known) for one in kept):
        split_by = "hash"
    splits = split_records(kept, contents, split_by, faults)
    items = [
        Item(one, files, split, _digest(one, files, root))
        for (one, files), split in zip(found, splits, strict=True)
        if split is not None
    ]
    return sorted(items, key=lambda item: (SPLITS.index(item.split), item.digest))


def _names_split(one: Record, columns: Columns) -> bool:
    """Whether an item has a value for its split, known or not."""
    return "split" not in columns.taken and bool(str(one.columns.get("split") or "").strip())


def _digest(one: Record, digests: Mapping[str, str], root: Path) -> str:
    names = {field: name_of(media, root) for field, media in one.media.items()}
    return sha256(json.dumps([names, digests, one.values], sort_keys=True, default=str).encode()).hexdigest()


def _mapped(records: Iterable[Record], columns: Columns, faults: Faults) -> list[Record]:
    """The records with the values of the mapped columns."""
    if not columns.mapped:
        return list(records)
    made = []
    for one in records:
        kept = {field: value for field, value in one.values.items() if field not in columns.mapped}
        try:
            made.append(replace(one, values=kept | columns.named(one.columns)))
        except ValueError as error:
            faults.add("line", f"{one.location}: {error}")
    return made


def _complete(records: Sequence[Record], faults: Faults) -> list[Record]:
    """The records that have all fields of others: label, question, answer, captions, facts."""
    needed = [field for field in _NEEDED if any(one.values.get(field) for one in records)]

    def fault(one: Record) -> str:
        # An empty list of facts is complete: a photo with nothing in it.
        missing = [
            field
            for field in needed
            if not one.values.get(field) and not (field == "facts" and field in one.values)
        ]
        captions = one.values.get("captions")
        if missing:
            what = f" has no {missing[0]}, as others do: fill it in"
        elif captions and not any(map(words_of, captions)):
            what = f": there is no word in caption {captions[0]!r:.40}, so that nothing could be like it: "
            what += "write one"
        else:
            return ""
        return f"{one.location}{what}, or leave such items out with on_error='skip'"

    return faults.keep("value", records, fault)


def _missing_file(one: Record) -> str:
    missing = (path for path in one.media.values() if isinstance(path, Path) and not isfile(path))
    path = next(missing, None)
    return f"{one.location}: there is no file {path}: put it there, or correct its name" if path else ""


def _digested(records: Sequence[Record], faults: Faults) -> list[tuple[Record, dict[str, str]]]:
    """The records whose files can be read, with the digests of the files."""
    media = {_key(one): one for record in records for one in record.media.values()}
    digests = dict(zip(media, in_threads(digest_of, list(media.values())), strict=True))
    found = [
        (record, {field: digests[_key(one)] for field, one in record.media.items()}) for record in records
    ]

    def fault(one: tuple[Record, dict[str, object]]) -> str:
        bad = [digest for digest in one[1].values() if isinstance(digest, Exception)]
        return f"{one[0].location}: {bad[0]}" if bad else ""

    return [
        (record, {field: str(digest) for field, digest in files.items()})
        for record, files in faults.keep("media", found, fault)
    ]


def _key(media: Media) -> Path | int:
    return media if isinstance(media, Path) else id(media)


def _grouped(records: Sequence[Record], group: str | None, faults: Faults) -> list[Record]:
    """The records that have a value of the group."""
    if group is None or not records:
        return list(records)
    if not any(group in one.columns for one in records):
        raise ValueError(f"group={group!r} is no column: there are {columns_of(records)}")

    def fault(one: Record) -> str:
        missing = one.columns.get(group) in (None, "")
        return f"{one.location} has no {group}, which defines the groups: fill it in" if missing else ""

    return faults.keep("value", records, fault)


def _parts(one: Record, digests: Mapping[str, str], root: Path) -> dict[str, str]:
    if not digests:
        # What is read, not what is answered: equal texts are one content whatever their labels are.
        read = {field: one.values[field] for field in ("text", "question") if field in one.values}
        text = json.dumps(read or one.values, sort_keys=True, default=str)
        return {sha256(text.encode()).hexdigest(): "the text"}
    return {digest: name_of(one.media[field], root) or field for field, digest in digests.items()}


def name_of(media: Any, root: Path) -> str:
    """Returns the name of a file within its folder; empty for an array."""
    if not isinstance(media, Path):
        return ""
    return media.relative_to(root).as_posix() if media.is_relative_to(root) else media.name


def notes_on_copies(items: Sequence[Item], tables: Mapping[str, Tensor]) -> list[str]:
    """Notes decoded content that is in two splits although the bytes of the files differ.

    This can be correct (two flags that are equal when small), so it is noted, not refused.
    """
    notes = []
    for field in MEDIA_FIELDS:
        first: dict[bytes, Item] = {}
        found: list[tuple[Item, Item]] = []
        for item, row in zip(items, tables[field].numpy() if field in tables else (), strict=False):
            if field in item.record.media:
                other = first.setdefault(blake2b(row, digest_size=16).digest(), item)
                if other.split != item.split:
                    found.append((item, other))
        if found:
            one, other = found[0]
            notes.append(
                f"{len(found)} files of {field} are, once decoded, equal to one in another split, e.g. "
                f"{one.record.location} and {other.record.location}: remove copies, or tie them by group"
            )
    return notes
