"""What the readers of layouts share: items that are gathered or counted, and text read with care."""

from __future__ import annotations

from pathlib import Path

from mm_envs.data.records import Record, Source

# The questions of VQA v2, the largest file of all published layouts here, have 80 MB of text.
MAX_TEXT = 2**30


class Gatherer:
    """Collects the items of a source; a bad one is raised, or left out and counted.

    Args:
        on_error: "raise" or "skip".
    """

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.records: list[Record] = []
        self.skipped: list[str] = []

    def item(self) -> Gatherer:
        """Around all that makes one item: ``with gatherer.item():``."""
        return self

    def __enter__(self) -> None:
        """Nothing: what counts is how the item ends."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Counts what is wrong with the item, if that is to be skipped."""
        skips = self.on_error == "skip" and isinstance(error, (ValueError, FileNotFoundError))
        if skips:
            self.skipped.append(str(error))
        return skips

    def source(self, layout: str, root: Path, says: str, group: str | None = None) -> Source:
        """What was gathered."""
        return Source(layout, root, self.records, tuple(self.skipped), says, group)


def shown(value: object) -> str:
    r"""A value in a message: on one line, and not longer than that.

    Example:
        >>> shown("two\nlines"), len(shown("x" * 1000)), shown([3, 4])
        ("'two\\nlines'", 60, 'a list of 2')
    """
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    said = ascii(value[:80]) if isinstance(value, str) else ascii(value)
    return said if len(said) <= 60 else f"{said[:57]}..."


def text_of(path: Path, limit: int = MAX_TEXT) -> str:
    """The text of a file in UTF-8 (a byte order mark is left out).

    Raises:
        ValueError: It is in another encoding, or larger than ``limit`` bytes.
        FileNotFoundError: There is no such file.
    """
    data = bytes_of(path, limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise ValueError(
            f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8: save the file in the encoding UTF-8"
        ) from None


def bytes_of(path: Path, limit: int = MAX_TEXT) -> bytes:
    """The content of a file.

    Raises:
        ValueError: It is larger than ``limit`` bytes, or cannot be read.
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"file {path} is missing: put it there")
    try:
        if path.stat().st_size > limit:
            raise ValueError(f"{path}: larger than {limit:,} bytes, which no file of this kind is: split it")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}): check its permissions") from None


def first_line(path: Path, limit: int = 2**16) -> str:
    """The beginning of the first line of a file, to recognise it by; bytes that are no text are replaced."""
    try:
        with path.open("rb") as file:
            return file.readline(limit).decode("utf-8-sig", "replace")
    except OSError:
        return ""
