"""Checks of the types of the arguments of a folder, before any file is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from numbers import Integral, Real
from os import PathLike
from typing import Any

from mm_envs.data.records import Source


def refuse_wrong_kinds(arguments: Mapping[str, object]) -> None:
    """Raises a ValueError for arguments of a wrong type; it names the argument, its value and the cure."""
    for name, given in arguments.items():
        fits, what = _KINDS[name]
        if not (fits(given) or (given is None and name in _OPTIONAL)):
            value = repr(given)
            short = value if len(value) <= 80 else f"{value[:77]}..."
            raise ValueError(f"{name}={short} is not {what}")


def _is_path(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, PathLike) and isinstance(value.__fspath__(), str))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and not isnan(value)


def _is_list(value: object) -> bool:
    # Also arrays of names, but no set, which has no order.
    return hasattr(value, "__getitem__") and not isinstance(value, str | bytes | Mapping)


def _is_columns(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(one, str) or (isinstance(one, Sequence) and all(map(_is_text, one)))
        for one in value.values()
    )


def _is_classes(value: object) -> bool:
    return all(map(_is_list, value.values())) if isinstance(value, Mapping) else _is_list(value)


_OPTIONAL = ("seconds", "group", "columns", "classes", "cache")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "path": (
        lambda value: _is_path(value) or isinstance(value, Source),
        "the path of a folder: give the one that holds metadata.csv or .jsonl",
    ),
    "layout": (_is_text, "the name of a layout: give 'auto' to have it recognised"),
    "channels": (lambda value: isinstance(value, Integral), "a whole number: give 3 (colour) or 1 (grey)"),
    "seconds": (
        _is_number,
        "a number of seconds: give for instance 2.5, or leave it out for the length of the files",
    ),
    "split_by": (
        lambda value: isinstance(value, str | Mapping),
        "'auto', 'hash', a column, or a column with splits for values: give one of them",
    ),
    "group": (_is_text, "the name of a column: give one, or leave it out"),
    "columns": (_is_columns, "names of ours with their columns: give {'label': 'species'}"),
    "classes": (_is_classes, "a list of names: give ['cat', 'dog'], or leave it out"),
    "memory_gb": (
        lambda value: _is_number(value) and value >= 0,
        "a number from 0 on: give gigabytes, for instance 2.0",
    ),
    "cache": (_is_path, "the path of a folder: give one, or leave it out"),
}
