"""The items of a split, kept on the device once they have been made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Any, TypeAlias
from weakref import WeakValueDictionary, ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.data.dataset import Dataset

Maker: TypeAlias = "Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]"

_BLOCK = 64
_CHUNK_BYTES = 2**18
_pools: WeakValueDictionary[tuple[str, str, str, frozenset[str]], ItemPool] = WeakValueDictionary()


def shared_pool(dataset: Dataset, split: str, fields: Collection[str], device: torch.device) -> ItemPool:
    """The pool of a split; environments of one process that need the same items share one.

    Items are pure functions of dataset and index, so sharing cannot be noticed but in time and memory.
    """
    key = (dataset.fingerprint(), split, str(device), frozenset(fields))
    pool = _pools.get(key)
    if pool is None:
        pool = _pools[key] = ItemPool(dataset, split, fields, device)
    return pool


class ItemPool:
    """Fields of all items of a split as tensors on one device.

    On the CPU items are made in blocks when they are first asked for, so that a single environment starts at
    once, and fields that the dataset stores are read where they are; on an accelerator all items are made at
    the start, because asking which are missing would wait for the device.

    Args:
        dataset: Where the items come from.
        split: Which of its splits.
        fields: The names of the fields to keep.
        device: Where they live.
    """

    def __init__(self, dataset: Dataset, split: str, fields: Collection[str], device: torch.device) -> None:
        self._dataset, self._fields, self.device = dataset, tuple(sorted(fields)), device
        indices = dataset.range(split)
        if not len(indices):
            raise ValueError(f"split={split!r} of dataset {dataset.name!r} is empty: choose another split")
        self.first, self.size = indices.start, len(indices)
        self.tables = self._stored() if device.type == "cpu" else {}
        self._fields = tuple(name for name in self._fields if name not in self.tables)
        sample = dataset.batch(torch.tensor([self.first], device=device), self._fields)
        self.tables |= {
            name: torch.empty((self.size, *row.shape[1:]), dtype=row.dtype, device=device)
            for name, row in sample.items()
        }
        self._derived: dict[Hashable, ItemPool] = {}
        blocks = -(-self.size // _BLOCK)
        self._missing = np.ones(blocks, dtype=np.bool_)
        self._complete = not self._fields
        if device.type != "cpu":
            self._make(range(blocks))

    def _stored(self) -> dict[str, Tensor]:
        """Views of the fields that the dataset stores: nothing is copied."""
        whole = {name: self._dataset.stored(name) for name in self._fields}
        last = self.first + self.size
        return {name: table[self.first : last] for name, table in whole.items() if table is not None}

    def ensure(self, items: Tensor) -> None:
        """Makes the items (places within the split) that are not there yet."""
        if self._complete:
            return
        wanted = np.zeros_like(self._missing)
        wanted[items.numpy() // _BLOCK] = True
        self._make((wanted & self._missing).nonzero()[0].tolist())

    def _make(self, blocks: Collection[int]) -> None:
        # Neighbouring blocks are made together: fewer and larger batches.
        for start, stop in _runs(blocks):
            low, high = start * _BLOCK, min(stop * _BLOCK, self.size)
            indices = torch.arange(self.first + low, self.first + high, device=self.device)
            for name, rows in self._dataset.batch(indices, self._fields).items():
                self.tables[name][low:high] = rows
            self._missing[start:stop] = False
        self._complete = not bool(self._missing.any())

    def derived(self, name: Hashable, names: Mapping[str, str], make: Maker) -> ItemPool:
        """The pool of what follows from the fields of each item alone.

        Args:
            name: What is made, with everything that it depends on beside the item.
            names: What the maker calls a field -> the field.
            make: Makes it of the fields of some items.
        """
        if name not in self._derived:
            items = _DerivedItems(self, names, make)
            self._derived[name] = ItemPool(items, "", items.fields, self.device)
        return self._derived[name]

    def rows(self, field: str, items: Tensor) -> Tensor:
        """A field of some items as a new tensor."""
        table = self.tables[field]
        if table.ndim == 2:
            return table.index_select(0, items)
        return _words(table).index_select(0, items).view(table.dtype).view(len(items), *table.shape[1:])

    def write(self, field: str, items: Tensor, target: Tensor, rows: Tensor | None) -> None:
        """Writes a field of ``items`` into ``target[rows]``, or into all of ``target`` where rows is None."""
        source, sink = _words(self.tables[field]), _words(target)
        if rows is None:
            torch.index_select(source, 0, items, out=sink)
        elif self.device.type != "cpu":
            sink.index_copy_(0, rows, source.index_select(0, items))
        else:
            # NumPy: in a single thread it is faster than torch, and torch with several stalls on busy cores.
            _copy_rows(source.numpy(), items.numpy(), sink.numpy(), rows.numpy())


def _copy_rows(
    source: NDArray[Any], items: NDArray[np.int64], sink: NDArray[Any], rows: NDArray[np.int64]
) -> None:
    """Copies ``source[items]`` to ``sink[rows]``, in chunks that stay in the cache between both copies."""
    width = source.shape[1]
    chunk = max(1, _CHUNK_BYTES // max(1, width * source.itemsize))
    scratch = np.empty((min(chunk, len(rows)), width), dtype=source.dtype)
    for at in range(0, len(rows), chunk):
        part = scratch[: len(rows) - at]
        source.take(items[at : at + chunk], axis=0, out=part, mode="clip")
        sink[rows[at : at + chunk]] = part


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
    flat = table.view(len(table), -1)
    for dtype, size in ((torch.int64, 8), (torch.int32, 4)):
        if flat.dtype.itemsize < size and flat.shape[1] * flat.dtype.itemsize % size == 0:
            return flat.view(dtype)
    return flat


class PoolFields(Mapping[str, Tensor]):
    """Fields of some items, gathered only when somebody looks at them.

    Args:
        pool: Where the items are.
        names: The name that is looked up -> the field of the pool.
        items: Places within the split, (n,) int64.
    """

    def __init__(self, pool: ItemPool, names: Mapping[str, str], items: Tensor) -> None:
        self._pool, self._names, self._items = pool, names, items

    def __getitem__(self, name: str) -> Tensor:
        return self._pool.rows(self._names[name], self._items)

    def derived(self, name: Hashable, make: Maker) -> PoolFields:
        """What follows from the fields of each item alone, made once an item; see ``mm_envs.episodes``."""
        pool = self._pool.derived(name, self._names, make)
        if self._items.device.type == "cpu":
            pool.ensure(self._items)
        return PoolFields(pool, {field: field for field in pool.tables}, self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _DerivedItems(Dataset):
    """What is made of the items of a pool, as a dataset; the index of an item is its place in the pool.

    The pool holds the pool of what is made of it, so this one must not hold the first: that circle would keep
    large tensors until Python looks for circles.
    """

    name = "derived"

    def __init__(self, pool: ItemPool, names: Mapping[str, str], make: Maker) -> None:
        self._pool, self._names, self._make = ref(pool), names, make
        self.splits = {"": range(pool.size)}
        self.fields = tuple(self.batch(torch.zeros(1, dtype=torch.int64, device=pool.device), ()))

    def batch(self, indices: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        pool = self._pool()
        assert pool is not None
        if indices.device.type == "cpu":
            pool.ensure(indices)
        return dict(self._make(PoolFields(pool, self._names, indices)))

    def fingerprint(self) -> str:
        return self.name
