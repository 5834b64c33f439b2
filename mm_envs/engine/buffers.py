"""The context part of observations: fresh tensors at the price of rewriting only the rows that changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mm_envs.engine.pool import ItemPool

_KNOWN = 4  # what the caller holds, its final_obs, the one being written, and one to spare


@dataclass
class _Buffer:
    """One set of tensors, what is out of date in it, and the versions it had after our last write."""

    tensors: dict[str, Tensor]
    stale: list[Tensor] = field(default_factory=list)
    stale_rows: int = 0
    versions: dict[str, int] = field(default_factory=dict)

    def note(self, changed: Tensor | None, n: int) -> None:
        """Remembers which of n rows are out of date from now on; None: all of them."""
        self.stale_rows += n if changed is None else len(changed)
        if 2 * self.stale_rows > n:
            self.stale = []  # rewriting all rows is quicker than rewriting more than half of them one by one
        elif changed is not None and len(changed):
            self.stale.append(changed)

    def is_held(self) -> bool:
        """Whether somebody outside still has a view of these tensors."""
        return _ALONE is None or any(_use_count(tensor) > _ALONE for tensor in self.tensors.values())

    def is_changed(self) -> bool:
        """Whether somebody else wrote into a view of these tensors (autograd counts the writes)."""
        return any(tensor._version != self.versions[key] for key, tensor in self.tensors.items())

    def hand_out(self) -> dict[str, Tensor]:
        # A view, so that the use count of the storage tells when the caller lets go of it.
        return {key: tensor.view(tensor.shape) for key, tensor in self.tensors.items()}


def _use_count(tensor: Tensor) -> int:
    return int(torch._C._storage_Use_Count(tensor.untyped_storage()._cdata))


def _count_alone() -> int | None:
    """The use count of a storage that nobody else has a view of; None where this torch cannot tell.

    Versions of torch count differently (some count the object that asks), so it is tried.
    """
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
    """Hands out the context of all rows as tensors that are never changed afterwards.

    A large allocation per step is slow (each of its pages faults). So buffers are used again, but only when
    nobody holds them any more, and only the rows that changed since are rewritten. With ``copy=False`` there
    is one buffer, which is always current: what was handed out changes with the next step.

    Args:
        pool: Where the items are.
        names: Observation key -> field of the pool.
        num_envs: Number of rows.
        copy: Whether what is handed out stays as it is.
        distrust_writes: Rewrite a used buffer whole: for callers whose writes cannot be noticed (NumPy).
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
        """The context of all rows.

        Args:
            items: The item of each row, (num_envs,) int64.
            changed: The rows whose item is new since the last call; None: all of them.
        """
        for buffer in self._buffers:
            buffer.note(changed, self._n)
        buffer = self._current = self._free()
        self._refresh(buffer, items)
        return buffer.hand_out()

    def last(self) -> dict[str, Tensor] | None:
        """What was handed out last, for who must remember it; None if its holder wrote into it."""
        buffer = self._current
        if buffer is None or not self._copy or self._distrust or buffer.is_changed():
            return None
        return buffer.hand_out()

    def final(self, items: Tensor, rows: Tensor | None) -> dict[str, Tensor]:
        """The context of rows whose episode ends, where ``last`` has none; other rows are not specified.

        Args:
            items: The item of each row, (num_envs,) int64.
            rows: The rows whose episode ends; None: all of them.
        """
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
            # Somebody collects observations: these buffers are theirs now, and go when they let go of them.
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
