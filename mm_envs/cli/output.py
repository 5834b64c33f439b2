"""What commands print: tables for people on one stream, JSON for programs on the other."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console


def console(json_output: bool = False) -> Console:
    """Where a command talks to people: standard output, or standard error if that is taken by JSON."""
    return Console(stderr=json_output, highlight=False)


def print_json(value: Any) -> None:
    """Prints one JSON value on standard output; what is not a number in JSON becomes null."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False, default=str))


def with_interval(mean: float, low: float, high: float) -> str:
    """A mean and its interval in a few characters.

    Example:
        >>> with_interval(0.5, 0.4123, 0.6)
        '0.500 [0.412, 0.600]'
    """
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    Example:
        >>> duration(7.2), duration(125), duration(7300), duration(math.inf)
        ('7 s', '2 min 05 s', '2 h 01 min', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
