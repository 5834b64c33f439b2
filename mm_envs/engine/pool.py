"""The items of a split, kept on the device once they have been made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from math import prod
from typing import Any, Protocol, TypeAlias
from weakref import WeakValueDictionary, ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.arrays import Array, as_tensor, native, on_host, take
from mm_envs.tasks.task import Task

Maker: TypeAlias = "Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]"

_BLOCK = 64
_LARGE_ROW = 2**11  # bytes
_pools: WeakValueDictionary[Hashable, ItemPool] = WeakValueDictionary()


class Items(Protocol):
    """Makes fields of items; see ``Task.unlinked``."""

    def unlinked(self, indices: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Fields of some items, with item indices for links."""
        ...


def shared_pool(task: Task, split: str, device: torch.device) -> ItemPool:
    """The pool of the fields that a task needs, shared by environments of one process with equal needs."""
    fields = frozenset({*task.context.values(), *task.reference})
    library = type(native(torch.empty(0, device=device)))
    key = (task.fingerprint(), task.fields_key, split, str(device), library, fields)
    pool = _pools.get(key)
    if pool is None:
        indices = task.dataset.range(split)
        if not len(indices):
            raise ValueError(
                f"split={split!r} of dataset {task.dataset.name!r} is empty: choose another split"
            )
        links = {name: field for name, field in task.links.items() if name in fields}
        stored = task.dataset.stored if device.type == "cpu" else None
        pool = _pools[key] = ItemPool(task, indices, {*fields, *links.values()}, device, links, stored)
    return pool


class ItemPool:
    """Fields of all items of a split as tensors on one device.

    On the CPU items are made in blocks when they are first used, so that a single environment starts at once,
    and stored fields are read where they are. On an accelerator all items are made at the start, because
    looking for missing ones would wait for the device.

    Args:
        source: Makes the fields; a task.
        indices: The items of the split.
        fields: The names of the fields to keep.
        device: Where they are kept.
        links: Field of item indices -> the field of those items that it refers to.
        stored: Gives the whole table of a field that the dataset stores, or None.
    """

    def __init__(
        self,
        source: Items,
        indices: range,
        fields: Collection[str],
        device: torch.device,
        links: Mapping[str, str] | None = None,
        stored: Callable[[str], Tensor | None] | None = None,
    ) -> None:
        self._source, self._fields, self.device = source, tuple(sorted(fields)), device
        self.first, self.size, self.links = indices.start, len(indices), dict(links or {})
        self.tables = {} if stored is None else self._stored(stored)
        self._fields = tuple(name for name in self._fields if name not in self.tables)
        sample = source.unlinked(torch.tensor([self.first], device=device), self._fields)
        self.tables |= {
            name: torch.empty((self.size, *row.shape[1:]), dtype=row.dtype, device=device)
            for name, row in sample.items()
        }
        self._derived: dict[Hashable, ItemPool] = {}
        # The tables as rows of wide integers, where they are copied from.
        self._wide = {name: native(_words(table)) for name, table in self.tables.items()}
        blocks = -(-self.size // _BLOCK)
        self._missing = np.ones(blocks, dtype=np.bool_)
        self._complete = not self._fields
        if not on_host(torch.empty(0, device=device)):
            self._make(range(blocks))

    @property
    def complete(self) -> bool:
        """Whether all items are made."""
        return self._complete

    def __deepcopy__(self, memo: dict[int, Any]) -> ItemPool:
        # Items never change.
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_wide": None, "_derived": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._wide = {name: native(_words(table)) for name, table in self.tables.items()}

    def _stored(self, stored: Callable[[str], Tensor | None]) -> dict[str, Tensor]:
        """Views of the fields that the dataset stores: nothing is copied."""
        whole = {name: stored(name) for name in self._fields}
        last = self.first + self.size
        return {name: table[self.first : last] for name, table in whole.items() if table is not None}

    def ensure(self, items: Array) -> None:
        """Makes items (positions within the split) that are missing."""
        if self._complete:
            return
        self._ensure(items)
        for name in self.links:
            # The items that these refer to, one level deep.
            self._ensure(take(native(self.tables[name]), items).reshape(-1) - self.first)

    def _ensure(self, items: NDArray[np.int64]) -> None:
        wanted = np.zeros_like(self._missing)
        wanted[items // _BLOCK] = True
        self._make((wanted & self._missing).nonzero()[0].tolist())

    def _make(self, blocks: Collection[int]) -> None:
        # Neighbouring blocks are made together: fewer and larger batches.
        for start, stop in _runs(blocks):
            low, high = start * _BLOCK, min(stop * _BLOCK, self.size)
            indices = torch.arange(self.first + low, self.first + high, device=self.device)
            for name, rows in self._source.unlinked(indices, self._fields).items():
                self.tables[name][low:high] = rows
            self._missing[start:stop] = False
        self._complete = not bool(self._missing.any())

    def derived(self, name: Hashable, names: Mapping[str, str], make: Maker) -> ItemPool:
        """The pool of fields that ``make`` makes from those of each item alone.

        ``name`` holds everything that they depend on besides the item; ``names`` maps the maker's names to
        fields.
        """
        if name not in self._derived:
            items = _DerivedItems(self, names, make)
            self._derived[name] = ItemPool(items, range(self.size), items.fields, self.device)
        return self._derived[name]

    def rows(self, field: str, items: Array) -> Tensor:
        """A field of some items as a new tensor; links are followed."""
        table = self.tables[field]
        if field in self.links:
            linked = take(native(table), items) - self.first
            several = self.rows(self.links[field], linked.reshape(-1))
            return several.view(*linked.shape, *several.shape[1:])
        return as_tensor(take(self._wide[field], items)).view(table.dtype).view(len(items), *table.shape[1:])

    def empty(self, field: str, n: int) -> Tensor:
        """Zeros with room for a field of n items."""
        table = self.tables[self.links.get(field, field)]
        several = self.tables[field].shape[1:] if field in self.links else ()
        shape = (n, *several, *table.shape[1:])
        return torch.zeros(shape, dtype=table.dtype, device=table.device)

    def write(self, field: str, items: Array, target: Tensor, rows: Array | None) -> None:
        """Writes a field of ``items`` into ``target[rows]``, or into all of ``target`` where rows is None."""
        if field in self.links:
            linked = take(native(self.tables[field]), items) - self.first
            count, target = linked.shape[1], target.flatten(0, 1)
            if rows is not None:
                rows = (rows[:, None] * count + np.arange(count)).reshape(-1)
            field, items = self.links[field], linked.reshape(-1)
        source, sink = self._wide[field], native(_words(target))
        if isinstance(source, Tensor):
            torch.index_select(source, 0, items, out=sink)
        elif rows is None:
            # Not torch, whose second thread stalls on busy cores.
            source.take(items, axis=0, out=sink, mode="clip")
        else:
            _copy_rows(source, items, sink, rows)


def _copy_rows(
    source: NDArray[Any], items: NDArray[np.int64], sink: NDArray[Any], rows: NDArray[np.int64]
) -> None:
    """Copies ``source[items]`` to ``sink[rows]``."""
    width = source.shape[1] * source.itemsize
    if width < _LARGE_ROW:
        sink[rows] = source[items]
        return
    # Row by row: fancy indexing copies large rows twice, which takes longer than this loop.
    given, taken = source.data.cast("B"), sink.data.cast("B")
    for start, at in zip((items * width).tolist(), (rows * width).tolist(), strict=True):
        taken[at : at + width] = given[start : start + width]


def _runs(blocks: Collection[int], longest: int = 16) -> Iterator[tuple[int, int]]:
    start = stop = -1
    for block in blocks:
        if block != stop or stop - start >= longest:
            if stop > start:
                yield start, stop
            start = block
        stop = block + 1
    if stop > start:
        yield start, stop


def _words(table: Tensor) -> Tensor:
    """The rows of a contiguous tensor as the widest integers that fit: copies run an order faster."""
    flat = table.view(len(table), prod(table.shape[1:]))
    for dtype, size in ((torch.int64, 8), (torch.int32, 4)):
        if flat.dtype.itemsize < size and flat.shape[1] * flat.dtype.itemsize % size == 0:
            return flat.view(dtype)
    return flat


class PoolFields(Mapping[str, Tensor]):
    """Fields of some items (positions within the split, (n,) int64), gathered when they are looked up.

    ``items`` are a NumPy array on the CPU, else a tensor. ``names`` maps the name that is looked up to the
    field of the pool.
    """

    def __init__(self, pool: ItemPool, names: Mapping[str, str], items: Array) -> None:
        self._pool, self._names, self._items = pool, names, items

    def __getitem__(self, name: str) -> Tensor:
        return self._pool.rows(self._names[name], self._items)

    def derived(self, name: Hashable, make: Maker) -> PoolFields:
        """Fields that follow from those of each item alone, made once an item; see ``mm_envs.episodes``."""
        pool = self._pool.derived(name, self._names, make)
        if isinstance(self._items, np.ndarray):
            pool.ensure(self._items)
        return PoolFields(pool, {field: field for field in pool.tables}, self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _DerivedItems:
    """The source of a derived pool; the index of an item is its position in the pool.

    It refers to the pool weakly: a cycle would keep large tensors until the garbage collector runs.
    """

    def __init__(self, pool: ItemPool, names: Mapping[str, str], make: Maker) -> None:
        self._pool, self._names, self._make = ref(pool), names, make
        self.fields = tuple(self.unlinked(torch.zeros(1, dtype=torch.int64, device=pool.device), ()))

    def unlinked(self, indices: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        pool, items = self._pool(), native(indices)
        assert pool is not None
        if isinstance(items, np.ndarray):
            pool.ensure(items)
        return dict(self._make(PoolFields(pool, self._names, items)))
