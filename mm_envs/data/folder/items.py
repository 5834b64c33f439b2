"""Items of a folder before they are decoded: all that can be refused without opening a picture or a sound."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from os.path import isfile
from pathlib import Path
from typing import Any

from mm_envs.data.dataset import SPLITS
from mm_envs.data.folder.columns import Columns, Mapped, composed
from mm_envs.data.folder.faults import Faults
from mm_envs.data.folder.splits import (
    Content,
    SplitBy,
    by_column,
    by_hash,
    by_values,
    columns_of,
    refuse_shared,
)
from mm_envs.data.folder.store import digest_of, in_threads
from mm_envs.data.folder.texts import words_of
from mm_envs.data.records import Media, Record

_NEEDED = ("label", "question", "answer", "captions", "facts")


@dataclass(frozen=True)
class Item:
    """An item that may be decoded.

    Attributes:
        record: Its files and values.
        digests: The SHA-256 of each file, by field.
        split: "train", "validation" or "test".
        said: The SHA-256 of its names, contents and values, whatever place the folder has.
    """

    record: Record
    digests: Mapping[str, str]
    split: str
    said: str


def items_of(
    records: Iterable[Record],
    root: Path,
    split_by: SplitBy,
    group: str | None,
    columns: Mapped | None,
    faults: Faults,
) -> list[Item]:
    """The items of some records, those of a split together, else in the order of a hash.

    So it does not matter in which order they are listed, and the first few are a fair sample.

    Raises:
        ValueError: Something is missing, contradicts itself, or lies in two splits.
    """
    known = Columns(columns)
    found = _grouped(_complete(_mapped(records, known, faults), faults), group, faults)
    found, digests = _read(_there(found, faults), faults)
    if not found:
        raise ValueError(
            f"{root} has no item that can be used{_why(faults)}: add one, or correct what is wrong"
        )
    contents = [
        Content(
            _parts(one, files, root), None if group is None else composed(f"{group}={one.columns[group]}")
        )
        for one, files in zip(found, digests, strict=True)
    ]
    if split_by == "auto" and not any(one.split or _said_split(one, known) for one in found):
        split_by = "hash"
    splits = _splits(found, contents, split_by, faults)
    items = [
        Item(one, files, split, _said(one, files, root))
        for one, files, split in zip(found, digests, splits, strict=True)
        if split is not None
    ]
    return sorted(items, key=lambda item: (SPLITS.index(item.split), item.said))


def _said_split(one: Record, columns: Columns) -> bool:
    """Whether an item names a split, be it one that nobody knows."""
    return "split" not in columns.taken and bool(str(one.columns.get("split") or "").strip())


def _said(one: Record, digests: Mapping[str, str], root: Path) -> str:
    names = {field: name_of(media, root) for field, media in one.media.items()}
    return sha256(json.dumps([names, digests, one.values], sort_keys=True, default=str).encode()).hexdigest()


def _why(faults: Faults) -> str:
    return (
        f" (the first of {len(faults.sentences)} faults: {faults.sentences[0]})" if faults.sentences else ""
    )


def _mapped(records: Iterable[Record], columns: Columns, faults: Faults) -> list[Record]:
    """The records, with values taken from the columns that the user named."""
    if not columns.mapped:
        return list(records)
    made = []
    for one in records:
        kept = {field: value for field, value in one.values.items() if field not in columns.mapped}
        try:
            made.append(replace(one, values=kept | columns.named(one.columns)))
        except ValueError as error:
            faults.add("line", f"{one.place}: {error}")
    return made


def _complete(records: Sequence[Record], faults: Faults) -> list[Record]:
    """The records that have what others have: a label, a question, an answer, captions, facts."""
    needed = [field for field in _NEEDED if any(one.values.get(field) for one in records)]
    made = []
    for one in records:
        missing = [field for field in needed if not one.values.get(field)]
        if "facts" in missing and "facts" in one.values:
            missing.remove("facts")  # an empty list: of a photo with nothing in it
        if missing:
            faults.add(
                "value",
                f"{one.place} has no {missing[0]}, as others do: fill it in, or leave such items out with "
                "on_error='skip'",
            )
        elif (captions := one.values.get("captions")) and not any(map(words_of, captions)):
            faults.add(
                "value",
                f"{one.place}: there is no word in caption {captions[0]!r:.40}, so that nothing could be "
                "like it: write one, or leave such items out with on_error='skip'",
            )
        else:
            made.append(one)
    return made


def _there(records: Sequence[Record], faults: Faults) -> list[Record]:
    """The records whose files are there; nothing is opened for it."""
    made = []
    for one in records:
        missing = [path for path in one.media.values() if isinstance(path, Path) and not isfile(path)]
        if missing:
            faults.add(
                "missing", f"{one.place}: there is no file {missing[0]}: put it there, or correct its name"
            )
        else:
            made.append(one)
    return made


def _read(records: Sequence[Record], faults: Faults) -> tuple[list[Record], list[dict[str, str]]]:
    """The records whose files can be read, and the digests of these."""
    first: dict[Any, int] = {}
    todo: list[Media] = []
    for one in records:
        for media in one.media.values():
            key = media if isinstance(media, Path) else id(media)
            if key not in first:
                first[key] = len(todo)
                todo.append(media)
    found = list(in_threads(lambda number: digest_of(todo[number]), len(todo)))
    made, digests = [], []
    for one in records:
        keys = {field: media if isinstance(media, Path) else id(media) for field, media in one.media.items()}
        results = {field: found[first[key]] for field, key in keys.items()}
        bad = [str(result) for result in results.values() if isinstance(result, Exception)]
        if bad:
            faults.add("media", f"{one.place}: {bad[0]}")
        else:
            made.append(one)
            digests.append({field: str(result) for field, result in results.items()})
    return made, digests


def _grouped(records: Sequence[Record], group: str | None, faults: Faults) -> list[Record]:
    """The records that say which group they belong to."""
    if group is None or not records:
        return list(records)
    if not any(group in one.columns for one in records):
        raise ValueError(f"group={group!r} is no column: there are {columns_of(records)}")
    made = []
    for one in records:
        if one.columns.get(group) in (None, ""):
            faults.add("value", f"{one.place} has no {group}, by which groups are told apart: fill it in")
        else:
            made.append(one)
    return made


def _parts(one: Record, digests: Mapping[str, str], root: Path) -> dict[str, str]:
    if not digests:
        # What is read, not what is answered: equal texts are one content whatever their labels are.
        read = {field: one.values[field] for field in ("text", "question") if field in one.values}
        said = json.dumps(read or one.values, sort_keys=True, default=str)
        return {sha256(said.encode()).hexdigest(): "the text"}
    return {digest: name_of(one.media[field], root) or field for field, digest in digests.items()}


def name_of(media: Any, root: Path) -> str:
    """The name of a file within its folder; empty for a picture that is handed over decoded."""
    if not isinstance(media, Path):
        return ""
    return media.relative_to(root).as_posix() if media.is_relative_to(root) else media.name


def _splits(
    records: Sequence[Record], contents: Sequence[Content], split_by: SplitBy, faults: Faults
) -> list[str | None]:
    if isinstance(split_by, Mapping):
        splits = by_values(records, split_by, faults)
    elif split_by == "auto":
        splits = by_column(records, "auto", faults)
    elif split_by == "hash":
        found, notes = by_hash(contents)
        faults.notes += notes
        return list(found)
    elif any(split_by in one.columns for one in records):
        splits = by_column(records, split_by, faults)
    else:
        raise ValueError(
            f"split_by={split_by!r} is neither auto, hash nor a column: there are {columns_of(records)}"
        )
    refuse_shared(records, contents, splits, faults)
    _need_training(splits, records, "write 'train' into the column of the split, or give split_by='hash'")
    return splits


def _need_training(splits: Sequence[str | None], records: Sequence[Record], cure: str) -> None:
    if "train" not in splits:
        raise ValueError(f"none of {len(records)} items is for training: {cure}")
