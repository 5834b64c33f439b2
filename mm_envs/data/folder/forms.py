"""What the files of a folder become: the shapes of pictures, videos and sounds, before any is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil, inf
from pathlib import Path

from mm_envs.data.folder.faults import Faults
from mm_envs.data.folder.items import Item
from mm_envs.data.folder.store import Form, in_threads
from mm_envs.data.media import MediaInfo, probe
from mm_envs.data.media.limits import MAX_RATE, MIN_RATE
from mm_envs.data.records import MEDIA_FIELDS
from mm_envs.names import at_least, one_of, whole

FITS = ("pad", "stretch", "crop")
HIGHEST_RATE = 16_000
LONGEST_SECONDS = 5.0
_SHARE = 0.95


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width from one number or two.

    Raises:
        ValueError: It is something else.

    Example:
        >>> sides(64), sides((48, 64))
        ((64, 64), (48, 64))
    """
    both = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(both) != 2:
        raise ValueError(f"size={size!r} is neither one number nor (height, width)")
    for side in both:
        whole("size", side)
    return int(both[0]), int(both[1])


def forms_of(
    items: Sequence[Item],
    size: tuple[int, int],
    channels: int,
    fit: str,
    sample_rate: int | None,
    seconds: float | None,
    frames: int,
    faults: Faults,
) -> tuple[dict[str, Form], list[Item]]:
    """The form of each field of media that some item has, and the items whose sounds can be looked at.

    Raises:
        ValueError: An argument is out of its range.
    """
    if fit not in FITS:
        raise ValueError(one_of("fit", fit, FITS))
    whole("frames", frames)
    at_least("frames", frames, 1)
    has = [name for name in MEDIA_FIELDS if any(name in item.record.media for item in items)]
    forms = {
        "image": Form("image", (channels, *size), fit),
        "video": Form("video", (frames, channels, *size), fit),
    }
    left = list(items)
    if "audio" in has:
        left, forms["audio"] = _sounds(items, sample_rate, seconds, faults)
    return {name: forms[name] for name in has}, left


def _sounds(
    items: Sequence[Item], sample_rate: int | None, seconds: float | None, faults: Faults
) -> tuple[list[Item], Form]:
    left, probed = list(items), [(0, 0.0)]
    if sample_rate is None or seconds is None:
        left, probed = _probed(items, faults)
    if sample_rate is None:
        counts = Counter(rate for rate, _ in probed)
        # Of equally frequent ones the lower: it takes less room.
        sample_rate = min(HIGHEST_RATE, min(counts, key=lambda rate: (-counts[rate], rate)))
    if seconds is None:
        lengths = sorted(length for _, length in probed)
        seconds = min(LONGEST_SECONDS, lengths[ceil(_SHARE * len(lengths)) - 1])
    whole("sample_rate", sample_rate)
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise ValueError(
            f"sample_rate={sample_rate!r} is not between {MIN_RATE:,} and {MAX_RATE:,} hertz: give for "
            "instance 16000, or leave it out for that of the files"
        )
    if not 0 < seconds < inf:
        raise ValueError(
            f"seconds={seconds!r} is not above 0, or has no end: leave it out for the length of the files"
        )
    return left, Form("audio", (max(1, round(seconds * sample_rate)),), sample_rate=int(sample_rate))


def _probed(items: Sequence[Item], faults: Faults) -> tuple[list[Item], list[tuple[int, float]]]:
    """The items whose sound has a readable header, and sample rate and seconds of each sound."""
    paths = {item.digests["audio"]: item.record.media["audio"] for item in items if "audio" in item.digests}
    todo = list(paths.values())
    infos = dict(zip(paths, in_threads(lambda number: _look(todo[number]), len(todo)), strict=True))
    left, found = [], []
    for item in items:
        info = infos.get(item.digests.get("audio", ""))
        if isinstance(info, Exception):
            faults.add("media", f"{item.record.place}: {info}")
            continue
        left.append(item)
        if isinstance(info, MediaInfo) and info.sample_rate and info.samples is not None:
            found.append((info.sample_rate, info.samples / info.sample_rate))
    if not found:
        raise ValueError("there is no sound that can be read: give sample_rate and seconds, or other files")
    return left, found


def _look(media: object) -> MediaInfo:
    if not isinstance(media, Path):
        raise ValueError("a sound is an array: only pictures can be handed over decoded")
    info = probe(media)
    if info.kind != "audio":
        raise ValueError(f"{media} is {info.kind}, not sound: correct the column it stands in")
    return info
