"""Functions over NumPy arrays and torch tensors alike: one implementation for the CPU and for devices.

NumPy's operations on short arrays take a fraction of the time of torch's and never wait for a second thread.
A function marked with ``numpy_on_cpu`` is written once, with the operators and methods that both libraries
have (``sum``, ``cumsum``, ``clip``, ``reshape``, ...) and the functions below. It then runs on NumPy arrays
where its tensors are on the CPU, and on tensors elsewhere, with equal results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

Array: TypeAlias = Any
"""A NumPy array or a tensor."""

A = TypeVar("A", bound=Any)
"""NumPy arrays or tensors: what comes in is what comes out."""

F = TypeVar("F", bound=Callable[..., Any])


def on_host(value: Any) -> bool:
    """Whether NumPy can use the memory of a value: an ordinary tensor on the CPU."""
    return type(value) is Tensor and value.is_cpu


def native(value: Array) -> Array:
    """A tensor on the CPU as a NumPy array that shares its memory; anything else as it is."""
    return value.numpy() if on_host(value) else value


def as_tensor(value: Array) -> Tensor:
    """A NumPy array as a tensor that shares its memory; a tensor as it is."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value if isinstance(value, Tensor) else torch.as_tensor(value)


def numpy_on_cpu(function: F) -> F:
    """Runs a function of tensors on NumPy arrays where all its tensors are on the CPU.

    The function takes arrays and other values by position and returns an array or a tuple of arrays; it must
    not change its arguments. It gets tensors where one is elsewhere or has no dimension (arithmetic on
    NumPy's scalars warns of the overflow that hashes need). With NumPy arrays and no tensor it returns NumPy
    arrays.

    Example:
        >>> @numpy_on_cpu
        ... def double(values):
        ...     return values * 2, type(values).__name__ == "ndarray"
        >>> double(torch.tensor([1, 2]))
        (tensor([2, 4]), tensor(True))
    """

    @wraps(function)
    def run(*arguments: Any) -> Any:
        arrays, converted = [], False
        for value in arguments:
            if isinstance(value, Tensor):
                if not on_host(value) or not value.ndim:
                    return function(*(as_tensor(one) if _is_array(one) else one for one in arguments))
                value, converted = value.numpy(), True
            arrays.append(value)
        result = function(*arrays)
        if not converted:
            return result
        return tuple(map(as_tensor, result)) if isinstance(result, tuple) else as_tensor(result)

    return run  # type: ignore[return-value]


def library(values: Array) -> Any:
    """The module of the functions for an array: NumPy or torch."""
    return np if _is_array(values) else torch


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def copied(values: Array) -> Array:
    """A copy."""
    return values.copy() if isinstance(values, np.ndarray) else values.clone()


def cast(values: Array, dtype: torch.dtype) -> Array:
    """The values in another dtype, given as that of torch."""
    return values.astype(_DTYPES[dtype]) if isinstance(values, np.ndarray) else values.to(dtype)


def viewed(values: Array, dtype: torch.dtype) -> Array:
    """The bytes of the last dimension as another dtype, given as that of torch."""
    return values.view(_DTYPES[dtype] if isinstance(values, np.ndarray) else dtype)


def full(shape: Sequence[int], value: float, dtype: torch.dtype, like: Array) -> Array:
    """An array of one value, of the library and on the device of ``like``."""
    if isinstance(like, np.ndarray):
        return np.full(shape, value, dtype=_DTYPES[dtype])
    return torch.full(tuple(shape), value, dtype=dtype, device=like.device)


def padded(values: Array, count: int, value: int = 0) -> Array:
    """The values with ``count`` more entries of one value behind the last dimension, int64."""
    longer = full((*values.shape[:-1], values.shape[-1] + count), value, torch.int64, values)
    longer[..., : values.shape[-1]] = values
    return longer


def where(mask: Array, chosen: Array | float, other: Array | float) -> Array:
    """``chosen`` where the mask is true, else ``other``; a mask (n,) holds for whole rows."""
    chosen, other = _alike(mask, chosen), _alike(mask, other)
    dimensions = max(getattr(chosen, "ndim", 0), getattr(other, "ndim", 0))
    mask = mask.reshape(*mask.shape, *[1] * (dimensions - mask.ndim))
    if isinstance(other, Tensor) and _fills(chosen, other):
        # torch.where makes a tensor of a number first, on a device with a kernel of its own.
        return other.masked_fill(mask, chosen)
    return library(mask).where(mask, chosen, other)


@numpy_on_cpu
def take(values: Array, index: Array) -> Array:
    """The rows of ``values`` at an index of any shape, (*index.shape, *values.shape[1:])."""
    if isinstance(values, np.ndarray):
        return values.take(index, axis=0)
    return values.index_select(0, index.reshape(-1)).view(*index.shape, *values.shape[1:])


@numpy_on_cpu
def put(values: Array, mask: Array, rows: Array | None, new: Array | float) -> Array:
    """A copy of ``values`` with ``new`` in some rows.

    ``rows`` are the indices of the rows of the mask (n,), and ``new`` has as many; without them it has n.
    """
    if rows is None:
        return where(mask, new, values)
    values = values.copy()
    values[rows] = new
    return values


def columns(values: Array, index: Array) -> Array:
    """The columns of ``values`` (n, m) at an index (k,)."""
    return values.take(index, axis=1) if isinstance(values, np.ndarray) else values.index_select(1, index)


def largest(values: Array) -> Array:
    """The largest entry of each row of ``values`` (n, m)."""
    return values.max(1) if isinstance(values, np.ndarray) else values.amax(1)


def add_scaled(one: Array, other: Array, factor: int) -> Array:
    """``one + factor * other`` as a new array, in one operation on a device."""
    if isinstance(one, np.ndarray):
        scaled = other * factor
        return np.add(scaled, one, out=scaled) if scaled.shape == one.shape else one + scaled
    return torch.add(one, other, alpha=factor)


def with_entries(values: Array, index: Array, entries: Array) -> Array:
    """A copy of ``values`` (n, m) whose entry ``index`` (n,) of each row is that of ``entries`` (n,)."""
    if isinstance(values, np.ndarray):
        values = values.copy()
        values[np.arange(len(values)), index] = entries
        return values
    return values.scatter(1, index[:, None], entries[:, None])


def group_sums(values: Array, group: Array, groups: int) -> Array:
    """For each row of ``values`` (n, m) the sums by group (n, m), (n, groups); other groups are left out."""
    if isinstance(values, np.ndarray):
        sums = np.empty((len(values), groups), dtype=values.dtype)
        for number in range(groups):
            np.einsum("ij,ij->i", values, group == number, out=sums[:, number])
        return sums
    room = values.new_zeros((len(values), groups + 1))
    return room.scatter_add_(1, group.clamp(max=groups), values)[:, :groups]


_DTYPES: Mapping[torch.dtype, Any] = {
    torch.bool: np.bool_,
    torch.int32: np.int32,
    torch.int64: np.int64,
    torch.float32: np.float32,
    torch.float64: np.float64,
}


def _fills(number: Any, values: Tensor) -> bool:
    """Whether a value is a number that the dtype of a tensor can hold."""
    return isinstance(number, int) or (isinstance(number, float) and values.is_floating_point())


def _alike(mask: Array, value: Any) -> Any:
    """A value of the library of a mask."""
    return native(value) if isinstance(mask, np.ndarray) else value
