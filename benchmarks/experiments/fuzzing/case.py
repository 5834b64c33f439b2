"""One folder with a fault, and whether its error is clear."""

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

# Words of messages of libraries.
_FOREIGN = (
    "PIL", "soundfile", "libsndfile", "numpy", "torch", "Traceback", "Errno", "UnicodeDecodeError",
    "JSONDecodeError", "ParseError", "_csv", "object at 0x", "NoneType", "codec can't",
)  # fmt: skip
_MAX_LENGTH = 600


@dataclass(frozen=True)
class Fault:
    """The fault of a folder that is valid otherwise.

    Attributes:
        names: Texts that the error has to name: the file, and the line where there are lines.
        options: Arguments of ``Folder``.
        items: Items that remain with ``on_error="skip"``; None where the folder as a whole may be wrong.
    """

    names: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    items: int | None = None


# Writes a folder with a fault.
Maker = Callable[[Path, Random], Fault]


def verdict(root: Path, fault: Fault) -> str:
    """Why opening a folder with a fault gave no clear error; empty if it did."""
    error, warned = _opened(root, fault, "raise")
    if isinstance(error, Folder):
        return "opened without an error"
    return warned or unclear(error, fault.names)


def unclear(error: BaseException, names: tuple[str, ...]) -> str:
    """Why an error is no clear one; empty if it is.

    Clear is one sentence on one line that names the file (and the line), what is wrong and the cure, raised
    by mm_envs itself as a ``ValueError``, ``MediaError`` or ``FileNotFoundError``, with nothing of a library.
    """
    text = str(error)
    missing = [name for name in names if name not in text]
    alien = [word for word in _FOREIGN if word in text]
    last = extract_tb(error.__traceback__)[-1].filename
    if type(error) not in OURS or not last.startswith(_HOME):
        return f"a foreign {type(error).__name__}: {text}"
    if error.__cause__ is not None or not (error.__context__ is None or error.__suppress_context__):
        return f"it shows the exception that caused it: {text}"
    if missing:
        return f"it does not name {missing[0]!r}: {text}"
    if alien:
        return f"it mentions {alien[0]!r}: {text}"
    if "\n" in text or len(text) > _MAX_LENGTH or ": " not in text:
        return f"it is not one sentence with its cure: {text}"
    return ""


def skipped(root: Path, fault: Fault) -> str:
    """Why opening it with ``on_error="skip"`` went wrong; empty if it did not.

    The rest has to open, with the items left out counted and named; a folder that is wrong as a whole has to
    be refused.
    """
    found, warned = _opened(root, fault, "skip")
    if warned:
        return warned
    if not isinstance(found, Folder):
        return unclear(found, fault.names) if fault.items is None else f"refused, not left out: {found}"
    text, left = " ".join(found.report.sentences), found.report.items
    missing = [name for name in fault.names if name not in text]
    if not found.report.skipped or fault.items not in (None, left):
        return f"not counted: {found.report.skipped} left out, {left} items remain"
    return f"not named ({missing[0]}): {text}" if missing else ""


def opens(root: Path) -> str:
    """Why a valid folder does not open; empty if it does."""
    found, warned = _opened(root, Fault(()), "raise")
    return warned if isinstance(found, Folder) else str(found)


def _opened(root: Path, fault: Fault, on_error: str) -> tuple[Folder | Exception, str]:
    """The folder, or the error; and a warning, if there was one."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            found: Folder | Exception = Folder(root, size=36, on_error=on_error, **fault.options)
        except Exception as error:
            found = error
    return found, f"it warns: {heard[0].message}" if heard else ""
