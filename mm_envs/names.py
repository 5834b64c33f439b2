"""Names that refer to objects, and the errors for unknown names and values.

Tables of ``module:attribute`` strings are resolved when they are used: so mm_envs refers to classes of higher
layers without importing them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from inspect import Parameter, signature
from numbers import Integral
from typing import Any


def one_of(name: str, value: object, known: Iterable[str]) -> str:
    """The message for a value that is not in a table.

    Example:
        >>> one_of("fusion", "concatt", ["concat", "mean"])
        "fusion='concatt' is not one of concat, mean"
    """
    return f"{_given(name, value)} is not one of {', '.join(known)}"


def check_one_of(name: str, value: object, known: Collection[Any]) -> None:
    """Raises ValueError for a value that is not in a table."""
    if value not in known:
        raise ValueError(one_of(name, value, known))


def at_least(name: str, value: float, least: float, cure: str = "") -> None:
    """Raises ValueError for a number below ``least``.

    Example:
        >>> at_least("steps", -5, 1, "train for at least one step")
        Traceback (most recent call last):
        ValueError: steps=-5 is below 1: train for at least one step
    """
    if not value >= least:
        raise ValueError(f"{_given(name, value)} is below {least}{cure and f': {cure}'}")


def _given(name: str, value: object) -> str:
    """An argument as given: to a function, or as an option on the command line."""
    return f"{name} {value}" if name.startswith("--") else f"{name}={value!r}"


def whole(name: str, value: object) -> None:
    """Raises ValueError for anything but a whole number."""
    if not isinstance(value, Integral):
        raise ValueError(f"{name}={value!r} is not a whole number")


def keywords(factory: Callable[..., Any]) -> tuple[list[str], bool]:
    """The names of the keyword arguments of a class or function, and whether it takes others, too."""
    parameters = signature(factory).parameters.values()
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    others = any(one.kind is Parameter.VAR_KEYWORD for one in parameters)
    return [one.name for one in parameters if one.kind in named], others


def refuse_unknown(owner: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raises ValueError for unknown arguments of a function or class (``owner``), with the nearest known one.

    Example:
        >>> refuse_unknown("dataset 'scenes'", ["colors"], ["items", "colours"])
        Traceback (most recent call last):
        ValueError: dataset 'scenes' has no argument 'colors' (did you mean colours?): it takes items, colours
    """
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(
                f"{owner} has no argument {name!r}{advice}: it takes {', '.join(known) or 'none'}"
            )


def resolve(name: str, value: str, table: Mapping[str, str]) -> Any:
    """The object behind a name of a table, or behind a ``module:attribute`` string.

    Such a string runs code, since it imports a module: never pass one that was read from a file.

    Raises:
        ValueError: The argument ``name`` is not in the table, or there is no such module or attribute.

    Example:
        >>> resolve("words", "digest", {"digest": "hashlib:sha256"}).__name__
        'openssl_sha256'
    """
    target = table.get(value, value) if isinstance(value, str) else ""
    module, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ValueError(f"{one_of(name, value, table)}, nor of the form module:attribute")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        # The error of an existing module that fails to import another one is better as it is.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(
            f"{name}={value!r}: there is no module {error.name}: install it, or start in its folder"
        ) from None
    if not hasattr(found, attribute):
        near = get_close_matches(attribute, dir(found), n=1)
        advice = f"did you mean {near[0]}?" if near else "give the name of something in it"
        raise ValueError(f"{name}={value!r}: module {module} has no {attribute}: {advice}")
    return getattr(found, attribute)
