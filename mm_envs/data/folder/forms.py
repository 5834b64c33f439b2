"""The shapes of the decoded pictures, videos and sounds of a folder, known before any file is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil, inf
from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.folder.items import Item
from mm_envs.data.folder.store import Form, in_threads
from mm_envs.data.media import MediaInfo, probe
from mm_envs.data.media.limits import MAX_RATE, MIN_RATE
from mm_envs.data.records import MEDIA_FIELDS
from mm_envs.names import at_least, one_of, whole

FITS = ("pad", "stretch", "crop")
MAX_SAMPLE_RATE = 16_000
MAX_SECONDS = 5.0
_SHARE = 0.95


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Returns height and width of one number or two, or refuses what is neither."""
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
    """Returns the form of each field of media, and the items whose sounds have a readable header."""
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
        # Of equally frequent rates the lower, which takes less memory.
        sample_rate = min(MAX_SAMPLE_RATE, min(counts, key=lambda rate: (-counts[rate], rate)))
    if seconds is None:
        lengths = sorted(length for _, length in probed)
        seconds = min(MAX_SECONDS, lengths[ceil(_SHARE * len(lengths)) - 1])
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
    infos = dict(zip(paths, in_threads(_probe_sound, list(paths.values())), strict=True))

    def info(item: Item) -> object:
        return infos.get(item.digests.get("audio", ""))

    left = faults.keep(
        "media",
        items,
        lambda item: f"{item.record.location}: {info(item)}" if isinstance(info(item), Exception) else "",
    )
    found = [
        (one.sample_rate, one.samples / one.sample_rate)
        for one in map(info, left)
        if isinstance(one, MediaInfo) and one.sample_rate and one.samples is not None
    ]
    if not found:
        raise ValueError("there is no sound that can be read: give sample_rate and seconds, or other files")
    return left, found


def _probe_sound(media: object) -> MediaInfo:
    if not isinstance(media, Path):
        raise ValueError("a sound is an array: only pictures can be handed over decoded")
    info = probe(media)
    if info.kind != "audio":
        raise ValueError(f"{media} is {info.kind}, not sound: correct its column")
    return info
