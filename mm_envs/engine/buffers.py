"""Buffers of the context: fresh tensors at the cost of rewriting only the rows that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mm_envs.arrays import Array
from mm_envs.engine.pool import ItemPool
from mm_envs.engine.rows import some

_KNOWN = 4  # the caller's observation, its final_obs, the one being written, and a spare one


@dataclass
class _Buffer:
    """One set of tensors, the rows that are out of date in it, and the versions after its last write."""

    tensors: dict[str, Tensor]
    stale: list[Array] = field(default_factory=list)
    stale_rows: int = 0
    versions: dict[str, int] = field(default_factory=dict)

    def note(self, changed: Array | None, n: int) -> None:
        """Records which of n rows are out of date from now on; None: all."""
        self.stale_rows += n if changed is None else len(changed)
        if self.must_rewrite(n):
            self.stale = []
        elif changed is not None and len(changed):
            self.stale.append(changed)

    def must_rewrite(self, n: int) -> bool:
        """Whether so many of n rows are out of date that rewriting all of them is quicker."""
        return 4 * self.stale_rows > 3 * n

    def is_held(self) -> bool:
        """Whether a view of these tensors exists elsewhere."""
        return _ALONE is None or any(_use_count(tensor) > _ALONE for tensor in self.tensors.values())

    def is_changed(self) -> bool:
        """Whether a view of these tensors was written to elsewhere (autograd counts the writes)."""
        return any(tensor._version != self.versions.get(key) for key, tensor in self.tensors.items())

    def hand_out(self) -> dict[str, Tensor]:
        # A view, so that the use count of the storage tells when the caller has dropped it.
        return {key: tensor.view(tensor.shape) for key, tensor in self.tensors.items()}

    def written(self) -> None:
        """Records that the tensors are up to date."""
        self.stale, self.stale_rows = [], 0
        self.versions = {key: tensor._version for key, tensor in self.tensors.items()}


def _use_count(tensor: Tensor) -> int:
    return int(torch._C._storage_Use_Count(tensor.untyped_storage()._cdata))


def _count_alone() -> int | None:
    """The use count of a storage without other views, measured; None where this torch cannot tell."""
    if not hasattr(torch._C, "_storage_Use_Count"):
        return None
    tensor = torch.zeros(1)
    alone = _use_count(tensor)
    view = tensor.view(1)
    held, array = _use_count(tensor), view.numpy()
    del view
    tells = held > alone and _use_count(tensor) > alone
    del array
    return alone if tells and _use_count(tensor) == alone else None


# Tried once, on a real tensor: an environment may be made where tensors have no data.
_ALONE = _count_alone()


class FinalObservation(Mapping[str, Tensor]):
    """The last observation of the rows that ended, as tensors of all rows.

    On the CPU its context is gathered when an entry is looked up, and kept then: the items of a pool never
    change, so it may be read at any time. Rows that did not end are zero in entries of the context. It is
    pickled and copied as a dict of tensors.

    Args:
        state: The entries that are there already.
        gather: Makes another entry from its key.
        keys: All keys.
    """

    __slots__ = ("_entries", "_gather", "_keys")

    def __init__(
        self, state: Mapping[str, Tensor], gather: Callable[[str], Tensor], keys: tuple[str, ...]
    ) -> None:
        self._entries, self._gather, self._keys = dict(state), gather, keys

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._entries:
            if key not in self._keys:
                raise KeyError(f"{key!r} is no entry of final_obs: it has {', '.join(self._keys)}")
            self._entries[key] = self._gather(key)
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        return repr(dict(self))


class ContextBuffers:
    """Returns the context of all rows as tensors that are never changed afterwards.

    A large allocation per step is slow (each of its pages faults). So a buffer is reused when no view of it
    exists any more, and only the rows that changed are rewritten. With ``copy=False`` there is one buffer,
    which changes with the next step.

    Args:
        pool: The items.
        names: Observation key -> field of the pool.
        num_envs: Number of rows.
        copy: Whether returned tensors stay as they are.
        distrust_writes: Rewrite a reused buffer whole: for NumPy views, whose writes are not counted.
    """

    def __init__(
        self, pool: ItemPool, names: Mapping[str, str], num_envs: int, copy: bool, distrust_writes: bool
    ) -> None:
        self._pool, self._names, self._n = pool, dict(names), num_envs
        self._copy, self._distrust = copy, distrust_writes
        self._buffers: list[_Buffer] = []
        self._late: dict[str, list[_Buffer]] = {}
        self._current: _Buffer | None = None

    def current(self, items: Array, changed: Array | None) -> dict[str, Tensor]:
        """The context of all rows, of ``items`` (num_envs,) int64.

        ``changed`` are the rows whose item is new since the last call; None: all.
        """
        for buffer in self._buffers:
            buffer.note(changed, self._n)
        buffer = self._current = self._free(self._buffers, tuple(self._names), not self._copy)
        self._refresh(buffer, items)
        return buffer.hand_out()

    def note_all(self) -> None:
        """Records that all rows may have a new item."""
        for buffer in self._buffers:
            buffer.note(None, self._n)

    def last(self) -> dict[str, Tensor] | None:
        """The context that was returned last; None if it was written to since."""
        buffer = self._current
        if buffer is None or not self._copy or self._distrust or buffer.is_changed():
            return None
        return buffer.hand_out()

    @torch.inference_mode(False)
    def gather(self, key: str, items: Array, rows: Array | None) -> Tensor:
        """An entry of the context of the rows (None: all) whose episode ended, of ``items``; else zeros."""
        buffer = self._free(self._late.setdefault(key, []), (key,), False)
        tensor = buffer.tensors[key]
        if rows is not None and buffer.versions:
            # Only the rows that were written last, unless the holder wrote others.
            tensor.numpy()[... if self._distrust or buffer.is_changed() else np.concatenate(buffer.stale)] = 0
        self._pool.write(self._names[key], items, tensor, rows)
        buffer.written()
        buffer.stale = [np.arange(self._n) if rows is None else rows] if isinstance(items, np.ndarray) else []
        return tensor.view(tensor.shape)

    def _free(self, buffers: list[_Buffer], keys: tuple[str, ...], held: bool) -> _Buffer:
        """A buffer that is not held elsewhere (with ``held`` any), or a new one of zeros."""
        for buffer in buffers:
            if held or not buffer.is_held():
                return buffer
        if len(buffers) >= _KNOWN:
            # The caller collects observations: these buffers are freed with them.
            buffers.clear()
        tensors = {key: self._pool.empty(self._names[key], self._n) for key in keys}
        buffers.append(_Buffer(tensors, stale_rows=self._n))
        return buffers[-1]

    def _refresh(self, buffer: _Buffer, items: Array) -> None:
        whole = self._distrust or buffer.is_changed() or buffer.must_rewrite(self._n)
        if whole or buffer.stale:
            rows = None if whole else np.concatenate(buffer.stale)
            wanted = some(items, rows)
            for key, name in self._names.items():
                self._pool.write(name, wanted, buffer.tensors[key], rows)
            if not self._copy:
                # Live buffers change under their holder: autograd must notice what NumPy writes.
                torch.autograd.graph.increment_version(tuple(buffer.tensors.values()))
        buffer.written()
