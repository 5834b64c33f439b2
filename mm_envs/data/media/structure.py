"""What the blocks of a file say before anything is decoded: truncation, checksums, announced sizes.

Decoders forgive much of it in silence: a GIF that breaks off is a shorter GIF to them, a WAV a shorter WAV,
and pictures and sounds with wrong checksums are shown as they are. Nobody should learn from those.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from mm_envs.data.media.files import Fault, File
from mm_envs.data.media.limits import MAX_CLIP_PIXELS, MAX_FRAMES, MAX_PIXELS, MAX_SCANS

_AGAIN = "copy it again, or leave the item out"
_BREAKS_OFF = f"it breaks off before its end: {_AGAIN}"


@dataclass(frozen=True)
class Structure:
    """What the blocks of a file say.

    Attributes:
        frames: Frames of a clip; 1 for a still picture.
        size: Width and height in pixels, where the blocks tell without a decoder.
    """

    frames: int = 1
    size: tuple[int, int] | None = None


def structure(file: File) -> Structure:
    """Walks over the blocks of a file and looks at what they announce.

    Raises:
        Fault: The file breaks off, contradicts itself, or is larger than ``limits`` allow.
    """
    walk = _WALKS.get(file.format)
    try:
        found = walk(file.data) if walk else Structure()
    except (IndexError, struct.error):
        raise Fault(_BREAKS_OFF) from None
    if found.size:
        small_enough(*found.size, found.frames)
    return found


def small_enough(width: int, height: int, frames: int = 1) -> None:
    """Refuses pictures and clips that are larger than ``limits`` allow, and those without any pixel.

    Raises:
        Fault: It is too large, or has no pixels.
    """
    if min(width, height, frames) < 1:
        raise Fault(f"its header announces {width} x {height} pixels in {frames} frames: {_AGAIN}")
    if width * height > MAX_PIXELS:
        raise Fault(
            f"its header announces {width:,} x {height:,} pixels, more than the {MAX_PIXELS:,} that are"
            " read: make it smaller"
        )
    if frames > MAX_FRAMES or width * height * frames > MAX_CLIP_PIXELS:
        raise Fault(
            f"it holds {frames:,} frames of {width:,} x {height:,} pixels, more than the {MAX_FRAMES:,} frames"
            f" and {MAX_CLIP_PIXELS:,} pixels that are read: cut it into pieces, or make it smaller"
        )


def _png(data: bytes) -> Structure:
    """Chunks of length, type, content and checksum up to IEND (PNG specification, third edition, 5.3)."""
    place, size, announced, frames, name = 8, None, None, 0, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, place)
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        if zlib.crc32(data[place + 4 : place + 8 + length]) != checksum:
            raise Fault(f"the checksum of a block does not fit its content: {_AGAIN}")
        if size is None:
            size = struct.unpack_from(">II", data, place + 8)
        announced = struct.unpack_from(">I", data, place + 8)[0] if name == b"acTL" else announced
        frames += name == b"fcTL"
        place += 12 + length
    if announced is not None and announced != frames:
        raise Fault(f"it announces {announced:,} frames and holds {frames:,}: {_AGAIN}")
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
            raise Fault(f"it holds a block of no known kind: {_AGAIN}")
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
        raise Fault(_BREAKS_OFF)
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
        raise Fault(_BREAKS_OFF)
    return Structure(max(frames, 1), size)


def _wav(data: bytes) -> Structure:
    """Chunks in a RIFF container; the format chunk comes before the data (Microsoft and IBM, 1991)."""
    place, known = 12, False
    while True:
        name, length = struct.unpack_from("<4sI", data, place)
        if name == b"fmt ":
            _wav_format(data, place + 8)
            known = True
        if name == b"data":
            # Programs that write into a pipe cannot know the length and say 2^32 - 1.
            if place + 8 + length > len(data) and length != 0xFFFFFFFF:
                raise Fault(_BREAKS_OFF)
            if not known:
                raise Fault(f"its header does not say how the samples are coded: {_AGAIN}")
            return Structure()
        place += 8 + length + length % 2


def _wav_format(data: bytes, place: int) -> None:
    kind, channels, rate, bytes_a_second, block, bits = struct.unpack_from("<HHIIHH", data, place)
    if not channels or not rate:
        raise Fault(f"its header announces {channels} channels at {rate} Hz: {_AGAIN}")
    plain = kind in (1, 3)  # whole and floating point numbers, not compressed
    if plain and (block != channels * ((bits + 7) // 8) or bytes_a_second != rate * block):
        raise Fault(
            f"its header contradicts itself ({channels} channels of {bits} bits at {rate:,} Hz are not"
            f" {bytes_a_second:,} bytes a second in blocks of {block}): save it again, or leave the item out"
        )


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg(data: bytes) -> Structure:
    """Pages up to those that end each stream (RFC 3533, section 6)."""
    place, open_streams = 0, set()
    while place < len(data):
        mark, flags, stream, checksum, parts = struct.unpack_from("<4sxB8xI4xIB", data, place)
        if mark != b"OggS":
            raise Fault(f"it holds something between its pages: {_AGAIN}")
        end = place + 27 + parts + sum(data[place + 27 : place + 27 + parts])
        if end > len(data):
            raise Fault(_BREAKS_OFF)
        if _ogg_checksum(data[place : place + 22] + bytes(4) + data[place + 26 : end]) != checksum:
            raise Fault(f"the checksum of a page does not fit its content: {_AGAIN}")
        (open_streams.discard if flags & 4 else open_streams.add)(stream)
        place = end
    if open_streams:
        raise Fault(_BREAKS_OFF)
    return Structure()


def _ogg_checksum(page: bytes) -> int:
    """The checksum of Ogg: that of zip with all bits in the other order, from 0 and without inversion."""
    register = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2)


_WALKS: dict[str, Callable[[bytes], Structure]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "WebP": _webp,
    "WAV": _wav,
    "OGG": _ogg,
}
