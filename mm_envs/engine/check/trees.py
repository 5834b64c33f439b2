"""Nested observations, actions and infos: walking, copying, comparing, overwriting."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray
from torch import Tensor


def is_object_array(tree: Any) -> bool:
    """Whether this is a NumPy array of objects, the form of single observations in Gymnasium's infos."""
    return isinstance(tree, np.ndarray) and tree.dtype == object and tree.ndim > 0


def is_array(leaf: Any) -> bool:
    """Whether this is a NumPy array or a tensor."""
    return isinstance(leaf, (np.ndarray, Tensor))


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All leaves of nested mappings, tuples, lists and object arrays, each with its path."""
    if isinstance(tree, Mapping):
        # A Dict space iterates in its own order, which may differ from that of what was returned.
        for key, part in sorted(tree.items(), key=lambda item: str(item[0])):
            yield from leaves(part, f"{path}[{key!r}]")
    elif isinstance(tree, (tuple, list)) or is_object_array(tree):
        for index, part in enumerate(tree):
            yield from leaves(part, f"{path}[{index}]")
    else:
        yield path, tree


def arrays(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves that are arrays or tensors."""
    return ((where, leaf) for where, leaf in leaves(tree, path) if is_array(leaf))


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nesting with the function applied to every leaf."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, part) for key, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(function, part) for part in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_leaves(function, part) for part in tree)
    if is_object_array(tree):
        result = np.empty(len(tree), dtype=object)
        for index, part in enumerate(tree):
            result[index] = map_leaves(function, part)
        return result
    return function(tree)


def snapshot(tree: Any) -> Any:
    """A deep copy with every tensor as a NumPy array."""
    return map_leaves(_snapshot_leaf, tree)


def _snapshot_leaf(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        if leaf.is_meta:  # It has no values; the rule about devices reports it.
            leaf = torch.zeros_like(leaf, device="cpu")
        return leaf.detach().cpu().numpy().copy()
    return leaf.copy() if isinstance(leaf, np.ndarray) else copy.deepcopy(leaf)


def difference(one: Any, other: Any) -> str | None:
    """The path of the first leaf in which two snapshots differ in a bit, or None if they are equal."""
    for left, right in zip_longest(leaves(one), leaves(other)):
        if left is None or right is None or left[0] != right[0]:
            return (left or right)[0] or "the structure"
        if not _equal(left[1], right[1]):
            return left[0] or "the values"
    return None


def same(one: Any, other: Any) -> bool:
    """Whether two snapshots are equal bit for bit."""
    return difference(one, other) is None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, (np.ndarray, np.generic)) or isinstance(other, (np.ndarray, np.generic)):
        a, b = np.asarray(one), np.asarray(other)
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return type(one) is type(other) and bool(one == other)


def rows(space: gym.Space[Any], batch: Any) -> list[Any]:
    """The single elements of a snapshot of a batch, given the batched space or an array of objects."""
    return list(batch) if is_object_array(batch) else list(iterate(space, batch))


def masked(info: Mapping[str, Any], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """The entries of a snapshot of an info in the rows of their masks, nested masks included."""
    result: dict[str, Any] = {}
    for key, value in info.items():
        here = mask & info[f"_{key}"] if f"_{key}" in info else mask
        if isinstance(value, Mapping):
            result[key] = masked(value, here)
        else:
            result[key] = value[here] if is_array(value) else value
    return result


def overwrite(tree: Any) -> None:
    """Changes every value of every array that can be written to, in place."""
    for _, leaf in arrays(tree):
        if isinstance(leaf, Tensor):
            # A broadcast tensor has several elements at one address and refuses to be written to.
            if 0 not in leaf.stride() and not leaf.is_inference():
                with torch.no_grad():
                    leaf.copy_(-1 - leaf if leaf.is_floating_point() else ~leaf)
        elif leaf.flags.writeable and leaf.dtype.kind in "biuf":
            leaf[...] = -1 - leaf if leaf.dtype.kind == "f" else ~leaf


def shared(one: Any, other: Any) -> str | None:
    """The path of the first array of ``one`` that has memory in common with ``other``, or None."""
    for path, left in arrays(one):
        for _, right in arrays(other):
            if _share(left, right):
                return path or "the array"
    return None


def _share(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        (start, stop), (first, last) = _extent(one), _extent(other)
        return one.device == other.device and start < last and first < stop
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return False
    return bool(np.shares_memory(one, other))


def _extent(tensor: Tensor) -> tuple[int, int]:
    if tensor.is_meta or not tensor.numel():
        return 0, 0
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (reach + 1) * tensor.element_size()


def dtype_name(leaf: Any) -> str:
    """The name of the dtype of an array or a tensor, in NumPy's words."""
    return str(leaf.dtype).removeprefix("torch.")


def flags(leaf: Any) -> NDArray[np.bool_]:
    """End flags or a mask as a NumPy array of bool."""
    return np.asarray(snapshot(leaf)).astype(np.bool_)
