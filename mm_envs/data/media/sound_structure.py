"""The blocks of WAV, OGG and MP3 files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from mm_envs.data.media.files import Fault, File
from mm_envs.data.media.structure import AGAIN, BREAKS_OFF


def check_sound(file: File) -> None:
    """Walks over the blocks of a sound and looks at what they announce.

    A FLAC file is left to its decoder: its frames carry checksums, and its header the number of samples.

    Raises:
        Fault: The file breaks off or contradicts itself.
    """
    try:
        if file.format in _WALKS:
            _WALKS[file.format](file.data)
    except (IndexError, struct.error):
        raise Fault(BREAKS_OFF) from None


def _wav(data: bytes) -> None:
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
                raise Fault(BREAKS_OFF)
            if not known:
                raise Fault(f"its header does not say how the samples are coded: {AGAIN}")
            return
        place += 8 + length + length % 2


def _wav_format(data: bytes, place: int) -> None:
    kind, channels, rate, bytes_a_second, block, bits = struct.unpack_from("<HHIIHH", data, place)
    if not channels or not rate:
        raise Fault(f"its header announces {channels} channels at {rate} Hz: {AGAIN}")
    plain = kind in (1, 3)  # whole and floating point numbers, not compressed
    if plain and (block != channels * ((bits + 7) // 8) or bytes_a_second != rate * block):
        raise Fault(
            f"its header contradicts itself ({channels} channels of {bits} bits at {rate:,} Hz are not"
            f" {bytes_a_second:,} bytes a second in blocks of {block}): save it again, or leave the item out"
        )


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg(data: bytes) -> None:
    """Pages up to those that end each stream (RFC 3533, section 6)."""
    place = 0
    open_streams: set[int] = set()
    while place < len(data):
        mark, flags, stream, checksum, parts = struct.unpack_from("<4sxB8xI4xIB", data, place)
        if mark != b"OggS":
            raise Fault(f"it holds something between its pages: {AGAIN}")
        end = place + 27 + parts + sum(data[place + 27 : place + 27 + parts])
        if end > len(data):
            raise Fault(BREAKS_OFF)
        if _ogg_checksum(data[place : place + 22] + bytes(4) + data[place + 26 : end]) != checksum:
            raise Fault(f"the checksum of a page does not fit its content: {AGAIN}")
        (open_streams.discard if flags & 4 else open_streams.add)(stream)
        place = end
    if open_streams:
        raise Fault(BREAKS_OFF)


def _ogg_checksum(page: bytes) -> int:
    """The checksum of Ogg: that of zip with all bits in the other order, from 0 and without inversion."""
    register = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2)


# Thousand bits a second and samples a second by their numbers in a frame header, for MPEG-1, -2 and -2.5.
_BITS = {1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
         2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}  # fmt: skip
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mp3(data: bytes) -> None:
    """Frames that follow each other without a gap, between tags (ISO/IEC 11172-3, 2.4.2.3; ID3v2.4, 3.1)."""
    place, end = 0, len(data) - 128 if data[-128:-125] == b"TAG" else len(data)
    while data[place : place + 3] == b"ID3":
        a, b, c, d = data[place + 6 : place + 10]
        place += 10 + (a << 21) + (b << 14) + (c << 7) + d
    if place >= end:
        raise Fault(BREAKS_OFF)
    while place < end:
        if data[place : place + 8] == b"APETAGEX":
            return
        place += _mp3_frame(data, place)
    if place > end:
        raise Fault(BREAKS_OFF)


def _mp3_frame(data: bytes, place: int) -> int:
    """Bytes of a frame."""
    header = int.from_bytes(data[place : place + 4], "big")
    version, bits, rate = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or header >> 17 & 3 != 1 or version == 1 or bits in (0, 15) or rate == 3:
        raise Fault(f"it holds something that is no frame of sound: {AGAIN}")
    samples = 1152 if version == 3 else 576
    bits_a_second = 1000 * _BITS[1 if version == 3 else 2][bits - 1]
    return samples // 8 * bits_a_second // _RATES[version][rate] + (header >> 9 & 1)


_WALKS: dict[str, Callable[[bytes], None]] = {"WAV": _wav, "OGG": _ogg, "MP3": _mp3}
