"""Reading regular files once, and their formats by their first bytes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mm_envs.data.media.limits import MAX_BYTES

PICTURES = ("PNG", "JPEG", "WebP", "GIF", "BMP")
SOUNDS = ("WAV", "FLAC", "OGG", "MP3")

_SUFFIXES = {
    ".png": "PNG", ".apng": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WebP", ".gif": "GIF",
    ".bmp": "BMP", ".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".mp3": "MP3",
}  # fmt: skip


class MediaError(ValueError):
    """A file that cannot be used: one sentence that names the file, the fault and the cure."""


class Fault(Exception):
    """A fault in the content of a file; ``faults`` turns it into a ``MediaError``."""


@dataclass(frozen=True)
class File:
    """A file in memory, whose ``format`` is that of its content, one of ``PICTURES`` or ``SOUNDS``."""

    path: Path
    data: bytes
    format: str


def shown(path: object) -> str:
    """A path as it is shown in a message: quoted if it holds characters that do not print."""
    text = str(path)
    return text if text.isprintable() and text else repr(text)


def read_file(path: str | Path) -> File:
    """The bytes of a picture, clip or sound, and its format, decided by its content.

    Raises:
        FileNotFoundError: There is no such file.
        MediaError: It is no regular file, cannot be read, is empty or too large, or of no known format.
    """
    data = read_bytes(path)
    if not data:
        raise MediaError(f"{shown(path)} is empty (0 bytes): copy it again, or leave the item out")
    found = sniff(data)
    if found is None:
        raise MediaError(
            f"{shown(path)} is none of {', '.join((*PICTURES, *SOUNDS))} by its content"
            f" (it begins with {_beginning(data)}): convert it to one of them, or leave the item out"
        )
    return File(Path(path), data, found)


def read_bytes(path: str | Path, max_bytes: int = MAX_BYTES) -> bytes:
    """All bytes of a regular file.

    Raises:
        FileNotFoundError: There is no such file.
        MediaError: It is no regular file, is larger than ``max_bytes``, or cannot be read.
    """
    try:
        # Without O_NONBLOCK a named pipe would block until something is written into it.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(number, "rb") as file:
            about = os.fstat(number)
            if not stat.S_ISREG(about.st_mode):
                raise MediaError(f"{shown(path)} is {_kind(about.st_mode)}: name a file")
            if about.st_size > max_bytes:
                raise MediaError(
                    f"{shown(path)} has {about.st_size:,} bytes, more than the {max_bytes:,} that are read:"
                    " make it smaller, or cut it into pieces"
                )
            return file.read(max_bytes)
    except OSError as error:
        raise _unreadable(path, error) from None
    except MediaError:
        raise
    except (ValueError, TypeError):
        raise MediaError(f"{shown(path)} is no path of a file: name a file that is there") from None


def sniff(data: bytes) -> str | None:
    """The format of data by its first bytes; None if it is unknown."""
    riff = {b"WEBP": "WebP", b"WAVE": "WAV"}
    if data[:4] == b"RIFF":
        return riff.get(data[8:12])
    beginnings = {
        b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF",
        b"fLaC": "FLAC", b"OggS": "OGG", b"ID3": "MP3",
    }  # fmt: skip
    for beginning, name in beginnings.items():
        if data.startswith(beginning):
            return name
    # A bitmap states the length of its second header, so that a text beginning with BM is none.
    if data[:2] == b"BM" and data[15:18] == b"\0\0\0":
        return "BMP"
    if len(data) > 3 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2:
        return "MP3"
    return None


@contextmanager
def faults(file: File) -> Iterator[None]:
    """Turns whatever a decoder raises into one ``MediaError``."""
    try:
        yield
    except MediaError:
        raise
    except Fault as fault:
        raise MediaError(f"{_subject(file)}: {fault}") from None
    except MemoryError:
        raise MediaError(
            f"{_subject(file)}: there is not enough memory to decode it: make it smaller"
        ) from None
    except Exception:  # decoders raise anything: struct.error, SyntaxError, KeyError, ...
        raise MediaError(
            f"{_subject(file)}: it cannot be decoded (damaged, broken off, or coded in an uncommon way):"
            " copy it again, convert it, or leave the item out"
        ) from None


def _subject(file: File) -> str:
    """The file and its format, and the format that its suffix names if they differ."""
    named = _SUFFIXES.get(file.path.suffix.lower())
    but = f", though its name says {named}" if named not in (None, file.format) else ""
    return f"{shown(file.path)} ({file.format}{but})"


def _beginning(data: bytes) -> str:
    return repr(data[:12])[1:]


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def _unreadable(path: object, error: OSError) -> MediaError | FileNotFoundError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FileNotFoundError(f"{shown(path)} does not exist: correct its name, or put the file there")
    reasons = {
        errno.EISDIR: "is a folder: name a file",
        errno.EACCES: "may not be read: give yourself the permission (chmod +r)",
        errno.EPERM: "may not be read: give yourself the permission (chmod +r)",
        errno.ELOOP: "is a symbolic link that leads back to itself: put the file there",
        errno.ENAMETOOLONG: "has a name that is too long for this file system: shorten it",
        errno.ENXIO: "is a named pipe, a socket or a device: name a file",
    }
    reason = reasons.get(error.errno or 0, "cannot be read: look whether the disk is well")
    return MediaError(f"{shown(path)} {reason}")
