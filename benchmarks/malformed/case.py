"""One malformed folder, and what a reader has to say about it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Any

import mm_envs
from mm_envs.data.folder import Folder
from mm_envs.data.media import MediaError

OURS = (ValueError, FileNotFoundError, MediaError)
_HOME = str(Path(mm_envs.__file__).parent)

# Words that only libraries say.
_FOREIGN = (
    "PIL", "soundfile", "libsndfile", "numpy", "torch", "Traceback", "Errno", "UnicodeDecodeError",
    "JSONDecodeError", "ParseError", "_csv", "object at 0x", "NoneType", "codec can't",
)  # fmt: skip
_LONGEST = 600


@dataclass(frozen=True)
class Fault:
    """What was made wrong in a folder that is right otherwise.

    Attributes:
        names: What the sentence has to name: the file, and the line where there are lines.
        options: Arguments of ``Folder``.
        items: Items that are left with ``on_error="skip"``; None where the folder as a whole may be wrong.
    """

    names: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    items: int | None = None


# Writes a malformed folder.
Maker = Callable[[Path, Random], Fault]


def verdict(root: Path, fault: Fault) -> str:
    """What opening a malformed folder gave: empty for a clear error, else what was wrong with it."""
    error, warned = _opened(root, fault, "raise")
    if isinstance(error, Folder):
        return "taken without a word"
    return warned or unclear(error, fault.names)


def unclear(error: BaseException, names: tuple[str, ...]) -> str:
    """Why an error is no clear one; empty if it is.

    Clear is one sentence on one line that names the file (and the line), what is wrong and the cure, raised
    by mm_envs itself as a ``ValueError``, ``MediaError`` or ``FileNotFoundError``, with nothing of a library.
    """
    said = str(error)
    missing = [name for name in names if name not in said]
    alien = [word for word in _FOREIGN if word in said]
    last = extract_tb(error.__traceback__)[-1].filename
    if type(error) not in OURS or not last.startswith(_HOME):
        return f"a foreign {type(error).__name__}: {said}"
    if error.__cause__ is not None or not (error.__context__ is None or error.__suppress_context__):
        return f"it shows the exception beneath it: {said}"
    if missing:
        return f"it does not name {missing[0]!r}: {said}"
    if alien:
        return f"it speaks of {alien[0]!r}: {said}"
    if "\n" in said or len(said) > _LONGEST or ": " not in said:
        return f"it is not one sentence with its cure: {said}"
    return ""


def skipped(root: Path, fault: Fault) -> str:
    """What was wrong with opening it with ``on_error="skip"``; empty if nothing was.

    What is left has to open, and what was left out to be counted and named; a folder that is wrong as a
    whole has to be refused all the same.
    """
    found, warned = _opened(root, fault, "skip")
    if warned:
        return warned
    if not isinstance(found, Folder):
        return unclear(found, fault.names) if fault.items is None else f"refused, not left out: {found}"
    said, left = " ".join(found.report.sentences), found.report.items
    missing = [name for name in fault.names if name not in said]
    if not found.report.skipped or fault.items not in (None, left):
        return f"not counted: {found.report.skipped} left out, {left} items remain"
    return f"not named ({missing[0]}): {said}" if missing else ""


def opens(root: Path) -> str:
    """Why a folder that is right does not open; empty if it does."""
    found, warned = _opened(root, Fault(()), "raise")
    return warned if isinstance(found, Folder) else str(found)


def _opened(root: Path, fault: Fault, on_error: str) -> tuple[Folder | Exception, str]:
    """The folder, or why it is refused; and what was said through a channel that nobody reads."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            found: Folder | Exception = Folder(root, size=36, on_error=on_error, **fault.options)
        except Exception as error:
            found = error
    return found, f"it warns: {heard[0].message}" if heard else ""
