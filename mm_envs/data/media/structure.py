"""Checks of a file before it is decoded, each of which Pillow or libsndfile leaves out.

| format | what the library accepts in silence |
|---|---|
| GIF | a file that lacks its last frames, blocks of unknown kind |
| JPEG | any number of progressive scans, each as expensive as decoding the picture |
| WAV | a file that is cut, a header that contradicts itself |
| OGG | pages that are missing or have a wrong checksum: the number of samples comes from the last page |
| MP3 | a file without a table of contents that is cut, bytes between frames |

The checksums of PNG and FLAC and the lengths in WebP and BMP are checked by their decoders.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from mm_envs.data.media.files import Fault, File
from mm_envs.data.media.limits import (
    MAX_CLIP_PIXELS,
    MAX_FRAME_PIXELS,
    MAX_FRAMES,
    MAX_PIXELS,
    MAX_SCANS,
)

AGAIN = "copy it again, or leave the item out"
BREAKS_OFF = f"it breaks off before its end: {AGAIN}"


def check_structure(file: File) -> None:
    """Raises a ``Fault`` if the file breaks off, contradicts itself, or is larger than ``limits`` allow."""
    check = _CHECKS.get(file.format)
    try:
        if check is not None:
            check(file.data)
    except (IndexError, struct.error):
        raise Fault(BREAKS_OFF) from None


def small_enough(width: int, height: int, frames: int = 1) -> None:
    """Refuses pictures and clips that are larger than ``limits`` allow, and those without any pixel."""
    if min(width, height, frames) < 1:
        raise Fault(f"its header announces {width} x {height} pixels in {frames} frames: {AGAIN}")
    most = MAX_FRAME_PIXELS if frames > 1 else MAX_PIXELS
    if width * height > most:
        raise Fault(
            f"its header announces {width:,} x {height:,} pixels, more than the {most:,} that are read:"
            " make it smaller"
        )
    if frames > MAX_FRAMES or width * height * frames > MAX_CLIP_PIXELS:
        raise Fault(
            f"it holds {frames:,} frames of {width:,} x {height:,} pixels, more than the {MAX_FRAMES:,}"
            f" frames and {MAX_CLIP_PIXELS:,} pixels that are read: cut it into pieces, or make it smaller"
        )


def _jpeg(data: bytes) -> None:
    # Inside of the coded data 0xFF is always followed by 0 or by a restart marker.
    scans = data.count(b"\xff\xda")
    if scans > MAX_SCANS:
        raise Fault(f"it holds {scans:,} scans, more than the {MAX_SCANS} that are read: save it again")


def _gif(data: bytes) -> None:
    """Blocks up to the trailer (GIF89a specification, appendix B)."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    index, frames = 13 + _palette(flags), 0
    while data[index] != 0x3B:
        if data[index] == 0x21:
            index = _after_blocks(data, index + 2)
        elif data[index] == 0x2C:
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, index + 1)
            width, height = max(width, left + wide), max(height, top + high)
            index = _after_blocks(data, index + 11 + _palette(flags))
            frames += 1
            small_enough(width, height, frames)
        elif data[index] == 0:  # some encoders end a block twice
            index += 1
        else:
            raise Fault(f"it holds a block of no known kind: {AGAIN}")


def _palette(flags: int) -> int:
    """Bytes of the palette that the flags of a GIF block announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, index: int) -> int:
    while data[index]:
        index += 1 + data[index]
    return index + 1


def _wav(data: bytes) -> None:
    """Chunks in a RIFF container; the format chunk comes before the data (Microsoft and IBM, 1991)."""
    index, known = 12, False
    while True:
        name, length = struct.unpack_from("<4sI", data, index)
        if name == b"fmt ":
            _wav_format(*struct.unpack_from("<HHIIHH", data, index + 8))
            known = True
        if name == b"data":
            # Programs that write into a pipe cannot know the length and write 2^32 - 1.
            if index + 8 + length > len(data) and length != 0xFFFFFFFF:
                raise Fault(BREAKS_OFF)
            if not known:
                raise Fault(f"its header does not say how the samples are coded: {AGAIN}")
            return
        index += 8 + length + length % 2


def _wav_format(kind: int, channels: int, rate: int, bytes_a_second: int, block: int, depth: int) -> None:
    if not channels or not rate:
        raise Fault(f"its header announces {channels} channels at {rate} Hz: {AGAIN}")
    plain = kind in (1, 3)  # whole and floating point numbers, not compressed
    if plain and (block != channels * ((depth + 7) // 8) or bytes_a_second != rate * block):
        raise Fault(
            f"its header contradicts itself ({channels} channels of {depth} bits at {rate:,} Hz are not"
            f" {bytes_a_second:,} bytes a second in blocks of {block}): save it again, or leave the item out"
        )


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg(data: bytes) -> None:
    """Pages up to those that end each stream (RFC 3533, section 6)."""
    index = 0
    open_streams: set[int] = set()
    while index < len(data):
        mark, flags, stream, checksum, parts = struct.unpack_from("<4sxB8xI4xIB", data, index)
        if mark != b"OggS":
            raise Fault(f"it holds something between its pages: {AGAIN}")
        end = index + 27 + parts + sum(data[index + 27 : index + 27 + parts])
        if end > len(data):
            raise Fault(BREAKS_OFF)
        if _ogg_checksum(data[index : index + 22] + bytes(4) + data[index + 26 : end]) != checksum:
            raise Fault(f"the checksum of a page does not fit its content: {AGAIN}")
        (open_streams.discard if flags & 4 else open_streams.add)(stream)
        index = end
    if open_streams:
        raise Fault(BREAKS_OFF)


def _ogg_checksum(page: bytes) -> int:
    """The checksum of Ogg: that of zip with all bits in the other order, from 0 and without inversion."""
    register = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2)


# Thousand bits a second and samples a second by their numbers in a frame header, for MPEG-1, -2 and -2.5.
_BITRATES = {1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
             2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}  # fmt: skip
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mp3(data: bytes) -> None:
    """Frames that follow each other without a gap, between tags (ISO/IEC 11172-3, 2.4.2.3; ID3v2.4, 3.1)."""
    index, end = 0, len(data) - 128 if data[-128:-125] == b"TAG" else len(data)
    while data[index : index + 3] == b"ID3":
        a, b, c, d = data[index + 6 : index + 10]
        index += 10 + (a << 21) + (b << 14) + (c << 7) + d
    if index >= end:
        raise Fault(BREAKS_OFF)
    while index < end:
        if data[index : index + 8] == b"APETAGEX":
            return
        index += _mp3_frame(data, index)
    if index > end:
        raise Fault(BREAKS_OFF)


def _mp3_frame(data: bytes, index: int) -> int:
    """Bytes of a frame."""
    header = int.from_bytes(data[index : index + 4], "big")
    version, speed, rate = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or header >> 17 & 3 != 1 or version == 1 or speed in (0, 15) or rate == 3:
        raise Fault(f"it holds something that is no frame of sound: {AGAIN}")
    samples = 1152 if version == 3 else 576
    bitrate = 1000 * _BITRATES[1 if version == 3 else 2][speed - 1]
    return samples // 8 * bitrate // _RATES[version][rate] + (header >> 9 & 1)


_CHECKS: dict[str, Callable[[bytes], None]] = {
    "JPEG": _jpeg, "GIF": _gif, "WAV": _wav, "OGG": _ogg, "MP3": _mp3,
}  # fmt: skip
