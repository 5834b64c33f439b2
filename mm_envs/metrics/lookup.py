"""A hash table of whole numbers that looks up batches without branches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.arrays import Array, library, numpy_on_cpu

_ODD = -7046029254386353131
_BUCKETS = 4  # for each key: hardly a bucket then has more than four keys


class Lookup:
    """A hash table with keys ordered by bucket; each bucket is searched key by key.

    A look-up takes as many steps as the largest bucket has keys, each for the whole batch at once; a binary
    search would take more, and mispredict every second branch. Keys (G,) int64 are distinct, at least one.

    Example:
        >>> table = Lookup(np.array([7, 3]), np.array([70, 30]))
        >>> table.find(torch.tensor([[3, 4], [7, 7]]), -1).tolist()
        [[30, -1], [70, 70]]
    """

    def __init__(self, keys: NDArray[np.int64], values: NDArray[np.int64]) -> None:
        width = (_BUCKETS * len(keys)).bit_length()
        self._shift, self._mask = 64 - width, (1 << width) - 1
        numbers = torch.from_numpy(keys)
        bucket, order = self._bucket(numbers).sort(stable=True)
        size = torch.bincount(bucket, minlength=1 << width)
        self._steps = int(size.max()) - 1
        # A search may go beyond the last key, which is repeated.
        order = torch.cat([order, order[-1:].expand(self._steps + 1)])
        self._on_cpu = (size.cumsum(0) - size, numbers[order], torch.from_numpy(values)[order])
        arrays = tuple(table.numpy() for table in self._on_cpu)
        self._on: dict[torch.device | None, tuple[Array, ...]] = {None: arrays}

    @numpy_on_cpu
    def find(self, keys: Array, other: int) -> Array:
        """The values of keys, int64 of any shape; ``other`` for unknown keys."""
        device = keys.device if isinstance(keys, Tensor) else None
        if device not in self._on:
            self._on[device] = tuple(table.to(device) for table in self._on_cpu)
        first, known, values = self._on[device]
        wanted = keys.reshape(-1)
        index = first[self._bucket(wanted)]
        for _ in range(self._steps):
            index += known[index] != wanted
        found = library(keys).where(known[index] == wanted, values[index], other)
        return found.reshape(keys.shape)

    def _bucket(self, keys: Array) -> Array:
        return (keys * _ODD >> self._shift) & self._mask
