"""The blocks of PNG, JPEG, GIF and WebP files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from mm_envs.data.media.files import Fault, File
from mm_envs.data.media.limits import MAX_SCANS
from mm_envs.data.media.structure import AGAIN, BREAKS_OFF, Structure, small_enough


def picture_structure(file: File) -> Structure:
    """Walks over the blocks of a picture or clip and looks at what they announce.

    Raises:
        Fault: The file breaks off, contradicts itself, or is larger than ``limits`` allow.
    """
    walk = _WALKS.get(file.format)
    try:
        found = walk(file.data) if walk else Structure()
    except (IndexError, struct.error):
        raise Fault(BREAKS_OFF) from None
    if found.size:
        small_enough(*found.size, found.frames)
    return found


def _png(data: bytes) -> Structure:
    """Chunks of length, type, content and checksum up to IEND (PNG specification, third edition, 5.3)."""
    place, size, announced, frames, name = 8, None, None, 0, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, place)
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        if zlib.crc32(data[place + 4 : place + 8 + length]) != checksum:
            raise Fault(f"the checksum of a block does not fit its content: {AGAIN}")
        if size is None:
            size = struct.unpack_from(">II", data, place + 8)
        announced = struct.unpack_from(">I", data, place + 8)[0] if name == b"acTL" else announced
        frames += name == b"fcTL"
        place += 12 + length
    if announced is not None and announced != frames:
        raise Fault(f"it announces {announced:,} frames and holds {frames:,}: {AGAIN}")
    return Structure(max(frames, 1), size)


def _jpeg(data: bytes) -> Structure:
    # Inside of the coded data 0xFF is always followed by 0 or by a restart marker.
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise Fault(f"it holds {scans:,} scans, more than the {MAX_SCANS} that are read: save it again")
    return Structure()


def _gif(data: bytes) -> Structure:
    """Blocks up to the trailer (GIF89a specification, appendix B)."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    place, frames = 13 + _palette(flags), 0
    while data[place] != 0x3B:
        if data[place] == 0x21:
            place = _after_blocks(data, place + 2)
        elif data[place] == 0x2C:
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, place + 1)
            width, height = max(width, left + wide), max(height, top + high)
            place = _after_blocks(data, place + 11 + _palette(flags))
            frames += 1
            small_enough(width, height, frames)
        elif data[place] == 0:  # some encoders end a block twice
            place += 1
        else:
            raise Fault(f"it holds a block of no known kind: {AGAIN}")
    return Structure(frames, (width, height))


def _palette(flags: int) -> int:
    """Bytes of the palette that some flags of a GIF announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, place: int) -> int:
    while data[place]:
        place += 1 + data[place]
    return place + 1


def _webp(data: bytes) -> Structure:
    """Chunks in a RIFF container (RFC 9649)."""
    (length,) = struct.unpack_from("<I", data, 4)
    if 8 + length > len(data):
        raise Fault(BREAKS_OFF)
    place, size, frames = 12, None, 0
    while place + 8 <= 8 + length:
        name, inside = struct.unpack_from("<4sI", data, place)
        if name == b"VP8X":
            flags_and_size = struct.unpack_from("<IHBHB", data, place + 8)
            wide, wider, high, higher = flags_and_size[1:]
            size = (1 + wide + (wider << 16), 1 + high + (higher << 16))
        frames += name == b"ANMF"
        place += 8 + inside + inside % 2
    if place > 8 + length + 1:
        raise Fault(BREAKS_OFF)
    return Structure(max(frames, 1), size)


_WALKS: dict[str, Callable[[bytes], Structure]] = {"PNG": _png, "JPEG": _jpeg, "GIF": _gif, "WebP": _webp}
