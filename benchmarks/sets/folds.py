"""Small sets, split again and again, so that every item is held out once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from mm_envs.data.records import Record, Source


def held_out_fold(source: Source, fold: int, folds: int) -> Source:
    """A source whose test split is one of some folds, everything else being for training.

    Groups (recordings, photos) stay whole. They are counted off in the order of a hash of their names, so
    that folds are about equally large.

    Args:
        source: The items; their group is that of the layout, else each is its own.
        fold: Which fold, from 0.
        folds: How many there are.

    Example:
        >>> from pathlib import Path
        >>> source = Source("none", Path(), [Record(f"line {i}", {}) for i in range(6)])
        >>> [sum(r.split == "test" for r in held_out_fold(source, k, 3).records) for k in range(3)]
        [2, 2, 2]
    """
    groups = [group_of(record, source.group) for record in source.records]
    order = sorted(set(groups), key=lambda name: hashlib.sha256(f"fold {name}".encode()).digest())
    chosen = set(order[fold::folds])
    return replace(source, records=_split(source.records, [group in chosen for group in groups]))


def group_of(record: Record, group: str | None) -> str:
    """The name of what an item must not be parted from."""
    return record.location if group is None else str(record.columns[group])


def _split(records: Sequence[Record], held_out: Sequence[bool]) -> list[Record]:
    return [
        replace(record, split="test" if out else "train")
        for record, out in zip(records, held_out, strict=True)
    ]
