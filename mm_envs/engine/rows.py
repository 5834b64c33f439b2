"""The episode and the item of each row, drawn from streams of (seed, group, episode) or given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mm_envs.arrays import Array, as_tensor, copied, native, put, take
from mm_envs.engine.pool import ItemPool
from mm_envs.random import fold, integers, signed, stream


class Rows:
    """The counters of all rows: NumPy arrays on the CPU, else tensors.

    They are replaced, never changed in place: they may be returned.

    Groups are ``group_size`` neighbouring rows that get the same item; ``first_row`` is the number of the
    first.

    Attributes:
        row: The number of each row, (num_envs,) int64.
        key: Its seed, number and episode, (num_envs, 3) int64.
        item: The position of its item within the split, (num_envs,) int64.
    """

    key: Array
    item: Array

    def __init__(
        self, num_envs: int, first_row: int, group_size: int, pool: ItemPool, device: torch.device
    ) -> None:
        self._pool, self._group_size, self._device = pool, group_size, device
        row = torch.arange(first_row, first_row + num_envs, device=device)
        self.row, self._group = native(row), native(row // group_size)
        self._set(torch.zeros_like(row), torch.zeros_like(row))
        self.item = native(torch.zeros_like(row))

    def _set(self, seed: Tensor, episode: Tensor) -> None:
        self.key = native(torch.stack([seed, as_tensor(self.row), episode], dim=1))
        self._stream = fold(native(stream(seed, "item")), self._group)

    def restore(self, key: Tensor, item: Tensor) -> None:
        """Continues from saved ``key`` and ``item`` of all rows; ValueError for others or another split."""
        if not torch.equal(key[:, 1], as_tensor(self.row)):
            was, now = int(key[0, 1]), int(self.row[0])
            raise ValueError(f"the first row of the snapshot was number {was} and is now number {now}")
        if bool(((item < 0) | (item >= self._pool.size)).any()):
            raise ValueError(f"an item of the snapshot is not one of {self._pool.size} in this split")
        self._set(key[:, 0], key[:, 2])
        self.item = native(item)

    def __len__(self) -> int:
        return len(self.row)

    def reseed(self, seed: int | Sequence[int], mask: Tensor | None, first: Tensor | None = None) -> None:
        """Seeds the rows of a mask (None: all); their episodes count from 0 or ``first`` (num_envs,)."""
        row, key = as_tensor(self.row), as_tensor(self.key)
        if isinstance(seed, (int, np.integer)):
            seeds = torch.full_like(row, signed(int(seed)))
        elif len(seed) != len(self) or any(one is None for one in seed):
            raise ValueError(f"seed={list(seed)} is not one number for each of {len(self)} rows")
        else:
            seeds = torch.tensor([signed(int(one)) for one in seed], device=self._device)
        self._check_groups(seeds, "seed")
        if mask is not None:
            self._check_groups(mask, "options['reset_mask'] with a seed")
        episode = torch.zeros_like(row) if first is None else first
        if mask is not None:
            seeds, episode = torch.where(mask, seeds, key[:, 0]), torch.where(mask, episode, key[:, 2])
        self._set(seeds, episode)

    def _check_groups(self, values: Tensor, name: str) -> None:
        """Refuses different values within a group: its rows share an item, drawn from their seed."""
        grouped = values.view(-1, self._group_size)
        if self._group_size > 1 and bool((grouped != grouped[:, :1]).any()):
            size = self._group_size
            raise ValueError(f"{name} differs within a group of {size} rows: give each group one value")

    def next(self, mask: Array, rows: Array | None) -> None:
        """Advances the rows of a mask to their next episode; ``rows`` are their indices where known."""
        self.key = copied(self.key)
        episode = self.episode
        episode += mask
        self.item = put(self.item, mask, rows, self.draw(rows))

    def counted(self, episodes: Any) -> Tensor:
        """Checked numbers of episodes, one a row, at least 0."""
        given = torch.as_tensor(episodes, device=self._device)
        if given.dtype not in (torch.int64, torch.int32) or tuple(given.shape) != self.row.shape:
            raise ValueError(
                f"options['episode_index'] has shape {tuple(given.shape)} and {given.dtype}: "
                f"give ({len(self)},) int64"
            )
        if bool((given < 0).any()):
            raise ValueError(f"options['episode_index'] has {int(given.min())}: episodes count from 0")
        return given.to(torch.int64)

    @property
    def episode(self) -> Array:
        """How many episodes each row has finished since it was seeded, (num_envs,) int64."""
        return self.key[:, 2]

    def draw(self, rows: Array | None = None) -> Array:
        """The items of the current episodes of some rows (None: all)."""
        return integers(fold(some(self._stream, rows), some(self.episode, rows)), self._pool.size)

    def given(self, items: Any, split: str, mask: Tensor | None) -> Array:
        """Positions within the split of given item indices, (num_envs,) or one a group.

        Raises:
            ValueError: There is not one a row or a group, or one of a row in the mask is not in the split.
        """
        given = torch.as_tensor(items, device=self._device)
        if given.dtype not in (torch.int64, torch.int32) or given.ndim != 1:
            raise ValueError(
                f"options['items'] has shape {tuple(given.shape)} and {given.dtype}: give (n,) int64"
            )
        if len(given) * self._group_size == len(self):
            given = given.repeat_interleave(self._group_size)
        if len(given) != len(self):
            raise ValueError(
                f"options['items'] has {len(given)} entries for {len(self)} rows: "
                "give one a row or one a group"
            )
        item = given.to(torch.int64) - self._pool.first
        wrong = (item < 0) | (item >= self._pool.size)
        wrong = wrong if mask is None else wrong & mask
        if bool(wrong.any()):
            raise ValueError(
                f"item {int(given[wrong][0])} is not in split {split!r}, which holds "
                f"{self._pool.first} to {self._pool.first + self._pool.size - 1}"
            )
        return native(item)

    def item_index(self) -> Array:
        """The item of each row as an index of the dataset."""
        return self.item + self._pool.first


def some(values: Array, rows: Array | None) -> Array:
    """The values of some rows; None: of all."""
    return values if rows is None else take(values, rows)
