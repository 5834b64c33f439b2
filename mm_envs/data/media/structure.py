"""What the blocks of a file say before anything is decoded: truncation, checksums, announced sizes.

Decoders forgive much of it in silence: a GIF that breaks off is a shorter GIF to them, a WAV a shorter WAV,
and pictures and sounds with wrong checksums are shown as they are. Nobody should learn from those.
"""

from __future__ import annotations

from dataclasses import dataclass

from mm_envs.data.media.files import Fault
from mm_envs.data.media.limits import MAX_CLIP_PIXELS, MAX_FRAME_PIXELS, MAX_FRAMES, MAX_PIXELS

AGAIN = "copy it again, or leave the item out"
BREAKS_OFF = f"it breaks off before its end: {AGAIN}"


@dataclass(frozen=True)
class Structure:
    """What the blocks of a file say.

    Attributes:
        frames: Frames of a clip; 1 for a still picture.
        size: Width and height in pixels, where the blocks tell without a decoder.
    """

    frames: int = 1
    size: tuple[int, int] | None = None


def small_enough(width: int, height: int, frames: int = 1) -> None:
    """Refuses pictures and clips that are larger than ``limits`` allow, and those without any pixel.

    Raises:
        Fault: It is too large, or has no pixels.
    """
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
