"""The kind and size of a file, from its header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mm_envs.data.media.files import PICTURES, faults, read_file
from mm_envs.data.media.pictures import open_picture, upright_size
from mm_envs.data.media.sounds import open_sound


@dataclass(frozen=True)
class MediaInfo:
    """The kind and size of a file; what does not apply is None.

    Attributes:
        kind: "image", "video" (more than one frame) or "audio".
        width: Pixels from left to right, once the picture is upright.
        height: Pixels from top to bottom, once the picture is upright.
        frames: Frames of a clip.
        samples: Samples of a sound, at its own rate.
        sample_rate: Samples a second.
    """

    kind: str
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    samples: int | None = None
    sample_rate: int | None = None


def probe(path: str | Path) -> MediaInfo:
    """The kind and size of a file. Its structure and header are checked; nothing is decoded.

    Raises:
        FileNotFoundError: There is no such file.
        MediaError: It is no picture and no sound, or its header shows a fault; the sentence names it.
    """
    file = read_file(path)
    with faults(file):
        if file.format in PICTURES:
            picture, frames, orientation = open_picture(file)
            width, height = upright_size(picture.size, orientation)
            if frames > 1:
                return MediaInfo("video", width, height, frames=frames)
            return MediaInfo("image", width, height)
        with open_sound(file) as sound:
            return MediaInfo("audio", samples=sound.frames, sample_rate=sound.samplerate)
