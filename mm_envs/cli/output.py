"""Output of commands: tables on one stream, JSON on the other."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from rich.console import Console
from rich.markup import escape

from mm_envs.values import finite

# Characters that move the cursor, colour or rename the terminal, or change the direction of writing.
_COMMANDS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")


def console(json_output: bool = False) -> Console:
    """The console of a command: standard output, or standard error if JSON is printed there."""
    return Console(stderr=json_output, highlight=False)


def shown(text: object) -> str:
    r"""Untrusted text that can be printed: without markup and terminal commands.

    Example:
        >>> print(shown("[bold]tern\x1b[2J"))
        \[bold]tern\x1b[2J
    """
    return escape(_COMMANDS.sub(lambda found: ascii(found[0])[1:-1], str(text)))


def print_json(value: Any) -> None:
    """Prints one JSON value on standard output; numbers that are not finite become null."""
    print(json.dumps(finite(value), indent=2, allow_nan=False, default=str))


def with_interval(mean: float, low: float, high: float) -> str:
    """A mean and its interval as text.

    Example:
        >>> with_interval(0.5, 0.4123, 0.6)
        '0.500 [0.412, 0.600]'
    """
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def duration(seconds: float) -> str:
    """A duration as text.

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
