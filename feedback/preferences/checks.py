"""Checks of single values, each of which ends in one sentence."""

from __future__ import annotations

import re
import sys
from typing import Any

from mm_envs.names import one_of

LONGEST = 2**16
LONGEST_ANSWERS, MAX_ANSWERS = 2**20, 2**16
_CONTENT = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA = re.compile(r"sha256:([0-9a-f]{64})(\.[a-z0-9]{1,8})?")


def text(name: str, value: Any, least: int = 0, most: int = LONGEST) -> None:
    """Refuses what is no string, too short or too long, or holds a NUL or half of a surrogate pair.

    Example:
        >>> text("query", "", least=1)
        Traceback (most recent call last):
        ValueError: query is empty
    """
    if not isinstance(value, str):
        raise ValueError(f"{name}={value!r:.60} is no text")
    if len(value) < least:
        raise ValueError(f"{name} is empty")
    if len(value) > most:
        raise ValueError(f"{name} has {len(value):,} characters: at most {most:,} are stored")
    if value.isascii() and "\0" not in value:
        return
    # PostgreSQL holds no NUL, and no file of UTF-8 a lone surrogate.
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"{name}={value!r:.60} holds a character that is no text")


def texts(name: str, value: Any) -> None:
    """Refuses what is no tuple of texts, or holds too many or too long ones."""
    if not isinstance(value, tuple):
        raise ValueError(f"{name} is a {type(value).__name__}: give a tuple of texts")
    if len(value) > MAX_ANSWERS:
        raise ValueError(f"{name} has {len(value):,} texts: at most {MAX_ANSWERS:,} are stored")
    for one in value:
        text(name, one)
    together = sum(map(len, value))
    if together > LONGEST_ANSWERS:
        raise ValueError(
            f"{name} have {together:,} characters together: at most {LONGEST_ANSWERS:,} are stored"
        )


def number(name: str, value: Any, least: float | None = 0.0) -> None:
    """Refuses what is no finite number, or too small."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Of whole numbers of any size, those that a float cannot hold are none, either.
    if not real or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name}={value!r:.60} is no finite number")
    if least is not None and value < least:
        raise ValueError(f"{name}={value!r} is below {least:g}")


def permutation(name: str, value: Any, count: int) -> None:
    """Refuses what is not each of the positions 0 to ``count - 1`` once."""
    whole = isinstance(value, tuple) and all(type(one) is int for one in value)
    if not whole or sorted(value) != list(range(count)):
        raise ValueError(f"{name}={value!r:.60} does not name each of the places 0 to {count - 1} once")


def member(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Refuses what is not in a table."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(one_of(name, value, known))


def item_id(name: str, value: Any) -> None:
    """Refuses what is neither a ticket (which is not parsed) nor the digest of a content.

    Example:
        >>> item_id("item", "cat.png")
        Traceback (most recent call last):
        ValueError: item='cat.png' is neither a ticket (mm1:...) nor sha256: and 64 hexadecimal digits
    """
    text(name, value, least=1)
    if not value.startswith("mm1:") and not _CONTENT.fullmatch(value):
        raise ValueError(
            f"{name}={value!r:.60} is neither a ticket (mm1:...) nor sha256: and 64 hexadecimal digits"
        )


def media_name(name: str, value: Any) -> tuple[str, str]:
    """Digest and ending of a content-addressed file, ``sha256:`` + 64 hexadecimal digits + ``.png`` or so.

    Example:
        >>> media_name("media", "../../etc/passwd")
        Traceback (most recent call last):
        ValueError: media='../../etc/passwd' is not sha256:, 64 hexadecimal digits and an ending such as .png
    """
    found = _MEDIA.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            f"{name}={value!r:.60} is not sha256:, 64 hexadecimal digits and an ending such as .png"
        )
    return found[1], found[2] or ""
