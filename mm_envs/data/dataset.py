"""The base class of datasets: items as a pure function of their index, in splits that cannot overlap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from inspect import signature
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.names import keywords, refuse_unknown, resolve
from mm_envs.random import fold, integers, stream
from mm_envs.tokenizers import Tokenizer

SPLITS = ("train", "validation", "test")

DATASETS: dict[str, str] = {
    "scenes": "mm_envs.data.scenes:Scenes",
    "digits": "mm_envs.data.digits:Digits",
    "folder": "mm_envs.data.folder:Folder",
}


class Dataset(ABC):
    """Facts of items, from which tasks make their fields; ``batch`` is a pure function of the index.

    A split is a range of item indices. Items of different splits never share content.

    Attributes:
        name: The name in the table of datasets.
        spaces: The space of every field that can be observed (image, audio, question, ...).
        splits: The range of indices of "train", "validation" and "test".
        vocabularies: The tokenizer of every field that holds token ids.
        classes: The names of the values of every field that holds a class number.
        further_arguments: The names of the arguments in ``**config`` of the constructor.
    """

    name: str
    further_arguments: tuple[str, ...] = ()
    spaces: Mapping[str, gym.Space[Any]]
    splits: Mapping[str, range]
    vocabularies: Mapping[str, Tokenizer]
    classes: Mapping[str, tuple[str, ...]]

    @abstractmethod
    def batch(self, indices: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        """Returns some fields of some items; row i depends on ``indices[i]`` only, bit for bit.

        Args:
            indices: Global item indices of shape (n,), int64; the result is on their device.
            fields: The names of the fields.

        Returns:
            One tensor per field with leading dimension n.
        """

    def hashes(self, indices: Tensor) -> Tensor:
        """Returns one hash for each item, (n,) int64: the source of random draws of tasks."""
        return fold(stream(0, f"item of {self.name}", indices.device), indices)

    def others(self, indices: Tensor, hashes: Tensor, count: int) -> Tensor:
        """Returns ``count`` other items of the split of each item, all different if the split has enough.

        Args:
            indices: Item indices, (n,) int64.
            hashes: One hash for each, (n,) int64, to draw from.
            count: The number of other items for each.

        Returns:
            Item indices, (n, count) int64.

        Raises:
            ValueError: A split has only one item.
        """
        other = indices[:, None].repeat(1, count)
        for split, one in self.splits.items():
            inside = (indices >= one.start) & (indices < one.stop)
            spare = len(one) - 1
            if spare == 0 and bool(inside.any()):
                raise ValueError(f"split={split!r} has one item, and so no other: use another split")
            if spare > 0:
                # Equal steps reach no item twice while all of them fit into the split.
                stride = 1 + integers(fold(hashes, 1), max((spare - 1) // max(count - 1, 1), 1))
                each = torch.arange(count, device=indices.device)
                step = 1 + (integers(hashes, spare)[:, None] + each * stride[:, None]) % spare
                moved = one.start + (indices[:, None] - one.start + step) % len(one)
                other = torch.where(inside[:, None], moved, other)
        return other

    def stored(self, field: str) -> Tensor | None:
        """Returns the field of all items if it is stored; None (the default) if ``batch`` computes it.

        The engine reads the contiguous CPU tensor in place instead of keeping a copy.
        """
        return None

    def word_classes(self) -> tuple[tuple[str, ...], ...]:
        """Returns disjoint classes of words of captions and answers, such as all colours; by default none."""
        return ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a digest of everything that decides the items: configuration, names and content."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Dataset:
        """Returns itself: a dataset is immutable, and Gymnasium copies the arguments of every environment."""
        return self

    def range(self, split: str) -> range:
        """Returns the indices of a split; raises ValueError if there is no such split."""
        if split not in self.splits:
            raise ValueError(f"split={split!r} is not one of {', '.join(self.splits)}")
        return self.splits[split]


def make_dataset(dataset: str | Dataset, **arguments: Any) -> Dataset:
    """Returns the dataset of a name, built with its arguments, or the dataset itself.

    Raises:
        ValueError: The name is unknown or refers to something else, or it takes no such arguments.
    """
    if isinstance(dataset, Dataset):
        if arguments:
            raise ValueError(f"arguments {sorted(arguments)} have no effect on a dataset that is built")
        return dataset
    factory, known = resolve("dataset", dataset, DATASETS), arguments_of(dataset)
    if known is not None:
        refuse_unknown(f"dataset {dataset!r}", arguments, known)
        for name, one in signature(factory).parameters.items():
            if one.default is one.empty and name in known and name not in arguments:
                raise ValueError(f"dataset {dataset!r} needs {name}: give {name}=...")
    built = factory(**arguments)
    if not isinstance(built, Dataset):
        raise ValueError(f"dataset={dataset!r} gives {type(built).__name__}: it has to give a Dataset")
    return built


def arguments_of(dataset: str | Dataset) -> list[str] | None:
    """Returns the names of the arguments of a dataset; none of an instance; None if they are unknown."""
    if isinstance(dataset, Dataset):
        return []
    factory = resolve("dataset", dataset, DATASETS)
    if not callable(factory):
        raise ValueError(f"dataset={dataset!r} cannot be called: name a class, or a function that builds one")
    named, others = keywords(factory)
    further = getattr(factory, "further_arguments", ())
    return None if others and not further else [*named, *further]
