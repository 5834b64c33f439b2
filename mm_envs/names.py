"""Names that stand for objects: tables of ``module:attribute`` strings, resolved when they are used.

This is how mm_envs knows of a feedback source without importing the layer above it, in the way of
Gymnasium's entry points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any


def one_of(name: str, value: object, known: Iterable[str]) -> str:
    """The sentence for a value that is not in a table: names the argument, the value and the choices.

    Example:
        >>> one_of("fusion", "concatt", ["concat", "mean"])
        "fusion='concatt' is not one of concat, mean"
    """
    return f"{name}={value!r} is not one of {', '.join(known)}"


def resolve(name: str, value: str, table: Mapping[str, str]) -> Any:
    """The object behind a name of a table, or behind a ``module:attribute`` string of the user's own.

    Args:
        name: What the name is for, as the error shall call it.
        value: A key of the table, or ``module:attribute``.
        table: Names and their ``module:attribute`` strings.

    Raises:
        ValueError: The name is not in the table.

    Example:
        >>> resolve("words", "digest", {"digest": "hashlib:sha256"}).__name__
        'openssl_sha256'
    """
    target = table.get(value, value)
    if ":" not in target:
        raise ValueError(one_of(name, value, table))
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
