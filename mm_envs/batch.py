"""The base class of batches: rows are taken, joined and moved in one way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

B = TypeVar("B", bound="Batch")
SHARED = {"shared": True}  # metadata of a field that all rows have in common


@dataclass(frozen=True)
class Batch:
    """n rows of several fields; subclasses are frozen dataclasses.

    A field is a tensor with leading dimension n, a mapping of such tensors, another batch of n rows, None, or
    something that all rows share (not a tensor, or a field with ``metadata=SHARED``).

    Example:
        >>> @dataclass(frozen=True)
        ... class Points(Batch):
        ...     x: Tensor
        ...     named: Mapping[str, Tensor]
        >>> points = Points(torch.tensor([1, 2, 3]), {"y": torch.tensor([4, 5, 6])})
        >>> points.take(torch.tensor([2, 0])).named["y"].tolist()
        [6, 4]
        >>> Points.join([points, points]).x.tolist()
        [1, 2, 3, 1, 2, 3]
    """

    def take(self: B, rows: Tensor) -> B:
        """Some rows, (k,) int64 or a mask, in that order; rows may repeat."""
        return self._changed(lambda value: value[rows])

    def to(self: B, device: torch.device | str) -> B:
        """The same batch on a device."""
        return self._changed(lambda value: value.to(device), shared=True)

    @classmethod
    def join(cls: type[B], batches: Sequence[B]) -> B:
        """The concatenated rows of several batches; shared fields are those of the first batch.

        Raises:
            ValueError: There is no batch.
        """
        if not batches:
            raise ValueError(f"no {cls.__name__} to join: give at least one batch")
        if len(batches) == 1:
            return batches[0]
        first = batches[0]
        joined = {
            one.name: _joined([getattr(batch, one.name) for batch in batches])
            for one in fields(first)
            if not one.metadata.get("shared")
        }
        return replace(first, **joined)

    def _changed(self: B, change: Callable[[Tensor], Tensor], shared: bool = False) -> B:
        values = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if shared or not one.metadata.get("shared"):
                value = _changed(value, change, shared)
            values[one.name] = value
        return replace(self, **values)


class Lazily(Mapping[str, Tensor]):
    """A mapping that applies ``change`` to a value when it is looked up."""

    def __init__(self, fields: Mapping[str, Any], change: Callable[[Any], Tensor]) -> None:
        self._fields, self._change = fields, change

    def __getitem__(self, name: str) -> Tensor:
        return self._change(self._fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def _changed(value: Any, change: Callable[[Tensor], Tensor], shared: bool) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Batch):
        return value._changed(change, shared)
    if isinstance(value, dict):
        return {name: _changed(one, change, shared) for name, one in value.items()}
    # Lazy mappings stay lazy.
    return Lazily(value, change) if isinstance(value, Mapping) else value


def _joined(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    if isinstance(first, Batch):
        return type(first).join(values)
    if isinstance(first, Mapping):
        return {name: _joined([value[name] for value in values]) for name in first}
    return first
