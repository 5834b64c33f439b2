"""Buffers of the context: fresh tensors at the cost of rewriting only the rows that changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mm_envs.engine.pool import ItemPool

_KNOWN = 4  # the caller's observation, its final_obs, the one being written, and a spare one


@dataclass
class _Buffer:
    """One set of tensors, the rows that are out of date in it, and the versions after its last write."""

    tensors: dict[str, Tensor]
    stale: list[Tensor] = field(default_factory=list)
    stale_rows: int = 0
    versions: dict[str, int] = field(default_factory=dict)

    def note(self, changed: Tensor | None, n: int) -> None:
        """Records which of n rows are out of date from now on; None: all."""
        self.stale_rows += n if changed is None else len(changed)
        if 2 * self.stale_rows > n:
            self.stale = []  # rewriting all rows is quicker than rewriting more than half of them one by one
        elif changed is not None and len(changed):
            self.stale.append(changed)

    def is_held(self) -> bool:
        """Whether a view of these tensors exists elsewhere."""
        return _ALONE is None or any(_use_count(tensor) > _ALONE for tensor in self.tensors.values())

    def is_changed(self) -> bool:
        """Whether a view of these tensors was written to elsewhere (autograd counts the writes)."""
        return any(tensor._version != self.versions[key] for key, tensor in self.tensors.items())

    def hand_out(self) -> dict[str, Tensor]:
        # A view, so that the use count of the storage tells when the caller has dropped it.
        return {key: tensor.view(tensor.shape) for key, tensor in self.tensors.items()}


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
        self._current: _Buffer | None = None
        self._final: dict[str, Tensor] | None = None

    def current(self, items: Tensor, changed: Tensor | None) -> dict[str, Tensor]:
        """The context of all rows, of ``items`` (num_envs,) int64.

        ``changed`` are the rows whose item is new since the last call; None: all.
        """
        for buffer in self._buffers:
            buffer.note(changed, self._n)
        buffer = self._current = self._free()
        self._refresh(buffer, items)
        return buffer.hand_out()

    def last(self) -> dict[str, Tensor] | None:
        """The context that was returned last; None if it was written to since."""
        buffer = self._current
        if buffer is None or not self._copy or self._distrust or buffer.is_changed():
            return None
        return buffer.hand_out()

    def final(self, items: Tensor, rows: Tensor | None) -> dict[str, Tensor]:
        """The context of rows whose episode ends (None: all) where ``last`` is None; others are undefined."""
        if self._final is None or (self._copy and not self._distrust):
            self._final = self._empty()
        wanted = items if rows is None else items.index_select(0, rows)
        for key, name in self._names.items():
            self._pool.write(name, wanted, self._final[key], rows)
        return {key: tensor.view(tensor.shape) for key, tensor in self._final.items()}

    def _empty(self) -> dict[str, Tensor]:
        return {key: self._pool.empty(name, self._n) for key, name in self._names.items()}

    def _free(self) -> _Buffer:
        for buffer in self._buffers:
            if not self._copy or not buffer.is_held():
                return buffer
        if len(self._buffers) >= _KNOWN:
            # The caller collects observations: these buffers are freed with them.
            self._buffers.clear()
        buffer = _Buffer(self._empty(), stale_rows=self._n)
        self._buffers.append(buffer)
        return buffer

    def _refresh(self, buffer: _Buffer, items: Tensor) -> None:
        whole = (
            self._distrust or not buffer.versions or buffer.is_changed() or 2 * buffer.stale_rows > self._n
        )
        if whole or buffer.stale:
            rows = None if whole else torch.cat(buffer.stale)
            wanted = items if rows is None else items.index_select(0, rows)
            for key, name in self._names.items():
                self._pool.write(name, wanted, buffer.tensors[key], rows)
        buffer.stale, buffer.stale_rows = [], 0
        buffer.versions = {key: tensor._version for key, tensor in buffer.tensors.items()}
