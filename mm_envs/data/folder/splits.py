"""The split of each item: by a column, or by a hash so that no content is in two splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mm_envs.data.dataset import SPLITS
from mm_envs.data.faults import Faults
from mm_envs.data.layouts.columns import SPLIT_NAMES, composed, plain, split_name
from mm_envs.data.records import Record

# "auto", "hash", a column, or a column with the splits of its values.
SplitBy = str | Mapping[str, Mapping[str, str]]

_SHOWN = 12
_EIGHTHS = ("train",) * 6 + ("validation", "test")


@dataclass(frozen=True)
class Content:
    """What an item consists of.

    Attributes:
        parts: Digest of each file (of the values, if there is none) -> its name in messages.
        group: The value of the column of groups; None without one.
    """

    parts: dict[str, str]
    group: str | None = None

    def tied(self) -> list[str]:
        """Returns what must be in one split: every file, and the group."""
        return [*self.parts, *([] if self.group is None else [f"group {self.group}"])]


def split_records(
    records: Sequence[Record], contents: Sequence[Content], split_by: SplitBy, faults: Faults
) -> list[str | None]:
    """Returns the split of each item; None for those that are left out.

    Raises:
        ValueError: ``split_by`` does not fit, no item is for training, or content is in two splits.
    """
    if split_by == "hash":
        found, notes = by_hash(contents)
        faults.notes += notes
        return list(found)
    if isinstance(split_by, Mapping):
        splits = _by_values(records, split_by, faults)
    elif split_by == "auto" or any(split_by in one.columns for one in records):
        splits = _by_column(records, split_by, faults)
    else:
        raise ValueError(
            f"split_by={split_by!r} is neither auto, hash nor a column: there are {columns_of(records)}"
        )
    refuse_shared(records, contents, splits, faults)
    if "train" not in splits:
        raise ValueError(
            f"none of {len(records)} items is for training: write 'train' into the column of the split, or "
            "give split_by='hash'"
        )
    return splits


def _by_column(records: Sequence[Record], split_by: str, faults: Faults) -> list[str | None]:
    column = "split" if split_by == "auto" else split_by
    found: list[str | None] = []
    for one in records:
        value = one.split if split_by == "auto" else one.columns.get(split_by)
        split = None if value is None else split_name(value)
        if split is None:
            faults.add(
                "split",
                f"{one.location}: {column}={one.columns.get(column)!r} names no split: write one of "
                f"{', '.join(SPLIT_NAMES)}, or give split_by='hash'",
            )
        found.append(split)
    return found


def _by_values(
    records: Sequence[Record], split_by: Mapping[str, Mapping[str, str]], faults: Faults
) -> list[str | None]:
    """The split of the value of a column, as in ``{"fold": {"5": "test"}}``; training if not listed."""
    column, splits = _value_splits(split_by)
    if not any(column in one.columns for one in records):
        raise ValueError(f"split_by: {column!r} is no column: there are {columns_of(records)}")
    values: list[str | None] = []
    for one in records:
        value, fault = None, f"it has no {column}, which tells the split"
        try:
            value = plain(column, one.columns.get(column))
        except ValueError as error:
            fault = str(error)
        if value is None:
            faults.add("split", f"{one.location}: {fault}: fill it in")
        values.append(value)
    known = [value for value in dict.fromkeys(values) if value is not None]
    for value in splits:
        if value not in known:
            few = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
            raise ValueError(f"split_by: no item has {column}={value!r}: there are {few}")
    return [None if value is None else splits.get(value, "train") for value in values]


def _value_splits(split_by: Mapping[str, Mapping[str, str]]) -> tuple[str, dict[str, str]]:
    example = "give for instance {'fold': {'5': 'test', '4': 'validation'}}"
    if len(split_by) != 1 or not all(isinstance(values, Mapping) for values in split_by.values()):
        raise ValueError(f"split_by={split_by!r:.80} is not one column with splits for values: {example}")
    (column, values), *_ = split_by.items()
    made: dict[str, str] = {}
    for value, name in values.items():
        split = split_name(name)
        if split is None:
            raise ValueError(f"split_by: {name!r} of {column}={value!r} names no split: {example}")
        made[composed(str(value).strip())] = split
    return column, made


def columns_of(records: Sequence[Record]) -> str:
    """Lists the columns of the first items, for messages."""
    return ", ".join(dict.fromkeys(name for one in records[:100] for name in one.columns)) or "none"


def refuse_shared(
    records: Sequence[Record], contents: Sequence[Content], splits: list[str | None], faults: Faults
) -> None:
    """Refuses content in two splits; if faults are skipped, the later split keeps it, test after training."""
    first: dict[str, int] = {}
    # Test first, training last.
    order = sorted(range(len(records)), key=lambda i: -SPLITS.index(splits[i] or "train"))
    for i in order:
        if splits[i] is None:
            continue
        keys = contents[i].tied()
        clash = next((key for key in keys if splits[first.get(key, i)] != splits[i]), None)
        if clash is None:
            first |= {key: first.get(key, i) for key in keys}
            continue
        other = first[clash]
        here, there = records[i].location, records[other].location
        both = f"two splits, {splits[i]} and {splits[other]}"
        if clash in contents[i].parts:
            names = f"{contents[i].parts[clash]} has the content of {contents[other].parts[clash]}"
            sentence = f"{names} ({there}), and they are in {both}: keep one of them"
        else:
            cure = "give all of a group one split, or split_by='hash'"
            sentence = f"{clash} is in {both} ({there}): {cure}"
        faults.add("split", f"{here}: {sentence}")
        splits[i] = None


def by_hash(contents: Sequence[Content]) -> tuple[list[str], list[str]]:
    """Splits into 75, 12.5 and 12.5 % by the hash of the content (or of the group).

    Items that share a file or a group, directly or through other items, are one component in one split. An
    item keeps its split when others are added, unless they connect it to another component. If a split is
    empty, components are assigned in the order of their hashes instead (of two components none is for the
    test, of one only that for training).

    Returns:
        The split of each item, and notes for the report.
    """
    members = _components(contents)
    lowest = {root: min(map(_hash, keys)) for root, (keys, _) in members.items()}
    split = {root: _EIGHTHS[number % 8] for root, number in lowest.items()}
    notes = []
    if set(split.values()) != set(SPLITS):
        split = _counted_off(sorted(lowest, key=lambda root: lowest[root]))
        if len(split) > 1:
            notes.append(f"{len(split)} sets of items that share nothing are few: they are counted off")
    largest = max((len(items) for _, items in members.values()), default=0)
    if 2 * largest > len(contents) > 1:
        notes.append(
            f"{largest} of {len(contents)} items hang together through files (or groups) that they share, "
            "so they are in one split: give a column with the split, or pair files that are used once"
        )
    of_item = {item: split[root] for root, (_, items) in members.items() for item in items}
    return [of_item[item] for item in range(len(contents))], notes


def _counted_off(roots: Sequence[int]) -> dict[int, str]:
    n = len(roots)
    test, validation = (max(1, n // 8) if n > others else 0 for others in (2, 1))
    names = ["train"] * (n - validation - test) + ["validation"] * validation + ["test"] * test
    return dict(zip(roots, names, strict=True))


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"split {key}".encode()).digest()[:8], "big")


def _components(contents: Sequence[Content]) -> dict[int, tuple[set[str], list[int]]]:
    """The connected components: a representative -> what decides their split, and their items."""
    parent = list(range(len(contents)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[str, int] = {}
    for i, content in enumerate(contents):
        for key in content.tied():
            parent[find(i)] = find(seen.setdefault(key, i))
    members: dict[int, tuple[set[str], list[int]]] = defaultdict(lambda: (set(), []))
    for i, content in enumerate(contents):
        keys, items = members[find(i)]
        # With a group only its name decides, so that the split stays when files are added or removed.
        keys.update(content.parts if content.group is None else [f"group {content.group}"])
        items.append(i)
    return members
