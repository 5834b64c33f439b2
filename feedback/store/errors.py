"""What a store refuses, and the errors of databases in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

_DAMAGED = "{where} is damaged ({message}): restore it from a copy"
# A part of what SQLite says -> what it means. Whoever gives another file has made a mistake of value.
_VALUES = {
    "file is not a database": "{where} is no SQLite database: give the file of a store or a new name",
    "malformed": _DAMAGED,
    "Could not decode to UTF-8": _DAMAGED,
}
_STATES = {
    "database is locked": "{where} is locked: another process has written for long; try again",
    "readonly": "{where} cannot be written to: change its permissions, or copy it",
    "is full": "{where} cannot grow, the disk is full: make room; what was acknowledged is kept",
    "unable to open": "{where} cannot be opened: is it a file, in a folder that may be written to?",
}


class Refused(ValueError):
    """A batch that a store did not take, nothing of it.

    Attributes:
        ids: Because of which ids.
    """

    def __init__(self, message: str, ids: Iterable[str]) -> None:
        super().__init__(message)
        self.ids = tuple(ids)


class Conflict(Refused):
    """Records or items say something else than those of the same ids that are stored."""


class UnknownItem(Refused):
    """Records speak of items that the store does not hold; ``ids`` are those of the items."""


class MissingMedia(Refused):
    """Items show files that are not in the folder of media; ``ids`` are those of the items."""


@contextmanager
def in_one_sentence(where: str) -> Iterator[None]:
    """Turns what a database says into a ``ValueError`` (another file) or an ``OSError`` (another time)."""
    try:
        yield
    except DBAPIError as error:
        message = " ".join(str(error.orig).split())
        for part, sentence in _VALUES.items():
            if part in message:
                raise ValueError(sentence.format(where=where, message=f"{message:.120}")) from None
        for part, sentence in _STATES.items():
            if part in message:
                raise OSError(sentence.format(where=where)) from None
        raise OSError(f"{where}: {message:.200}") from error
    except UnicodeDecodeError as error:  # of a message that quotes what is damaged
        raise ValueError(_DAMAGED.format(where=where, message=error.reason)) from None


def several(names: Sequence[str]) -> str:
    """A few names, and how many more there are.

    Example:
        >>> several(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    message = ", ".join(f"{name:.160}" for name in names[:3])
    return message if len(names) <= 3 else f"{message} and {len(names) - 3} more"
