"""Conversion of values to and from JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any


def texts(value: Any) -> list[str]:
    """All strings in a nested value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for one in pair for text in texts(one)]
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in texts(one)]
    return []


def plain(value: Any) -> Any:
    """The value as JSON holds it: tuples and sets as lists, NumPy numbers as Python's.

    Raises:
        TypeError: JSON cannot hold it.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, Set):
        return sorted(plain(one) for one in value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return plain(value.item())
    raise TypeError(f"JSON cannot hold a {type(value).__name__}")


def tuples(value: Any) -> Any:
    """A value read from JSON with lists as tuples, since arguments of tasks must be hashable."""
    if isinstance(value, list):
        return tuple(tuples(one) for one in value)
    if isinstance(value, Mapping):
        return {key: tuples(one) for key, one in value.items()}
    return value


def finite(value: Any) -> Any:
    """JSON values in which floats that are not finite are None, and tuples lists.

    Example:
        >>> finite({"mean": float("nan"), "ends": (0.5, float("inf"))})
        {'mean': None, 'ends': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
