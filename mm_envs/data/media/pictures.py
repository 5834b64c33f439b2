"""Pictures and clips as Pillow decodes them: upright and on white."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mm_envs.data.media.files import PICTURES, Fault, File
from mm_envs.data.media.limits import MAX_PIXELS
from mm_envs.data.media.structure import BREAKS_OFF, check_structure, small_enough
from mm_envs.names import check_one_of

FITS = ("pad", "stretch", "crop")

_CLIPS = ("GIF", "WebP", "PNG")  # a JPEG may hold several pictures, too, of which the first one counts
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

# What the eight values of the EXIF tag "orientation" ask for (CIPA DC-008, table 6).
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

# The filters of warnings are global, so one thread at a time may change them.
_WARNINGS = Lock()


def open_picture(file: File) -> tuple[Image.Image, int, int]:
    """A picture or clip with its header and the checksums of a PNG read, and nothing decoded.

    Returns:
        Pillow's object (its size as it is stored), the number of frames, and the EXIF orientation, 1
        (upright) to 8.

    Raises:
        Exception: A ``Fault``, or whatever Pillow raises: call it in ``files.faults``.
    """
    if file.format not in PICTURES:
        raise Fault("it holds sound where a picture is needed: correct the name of the file")
    check_structure(file)
    with _without_warnings():
        try:
            picture = _opened(file)
        except Image.DecompressionBombError:
            raise Fault(
                f"its header announces more than the {MAX_PIXELS:,} pixels that are read: make it smaller"
            ) from None
        frames = _frames(picture) if file.format in _CLIPS else 1
        small_enough(*picture.size, frames)
        if file.format == "PNG":
            _opened(file).verify()
            if _PNG_END not in file.data:  # its checksum is the only one that verify leaves out
                raise Fault(BREAKS_OFF)
        return picture, frames, _orientation(picture)


def _opened(file: File) -> Image.Image:
    return Image.open(io.BytesIO(file.data), formats=[file.format.upper()])


def _frames(picture: Image.Image) -> int:
    # The picture that an animated PNG shows where animation is not supported need not belong to the clip.
    return int(getattr(picture, "n_frames", 1)) - int(getattr(picture, "default_image", False))


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height once the picture is turned."""
    return (size[1], size[0]) if orientation in _SIDEWAYS else size


def fitted(
    picture: Image.Image, orientation: int, height: int, width: int, channels: int, fit: str
) -> Tensor:
    """Decodes one picture, or one frame, to uint8 of shape (channels, height, width); see ``read_image``."""
    plain = opaque(picture, "RGB" if channels == 3 else "L")
    if orientation in _TURNS:
        plain = plain.transpose(_TURNS[orientation])
    pixels = np.array(_resized(plain, height, width, fit)).reshape(height, width, channels)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def opaque(picture: Image.Image, mode: str) -> Image.Image:
    """A picture in mode "RGB" or "L", on white where it is transparent; of 16 bits the upper 8 remain."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        clear = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        picture = Image.new("RGB", clear.size, "white")
        picture.paste(clear, mask=clear)
    # Palettes and CMYK cannot be converted to grey directly.
    return picture if picture.mode == mode else picture.convert("RGB").convert(mode)


def check_shape(height: int, width: int, channels: int, fit: str) -> None:
    """Refuses sides below 1, channels that are neither 1 nor 3, and unknown names of ``fit``."""
    if min(height, width) < 1:
        raise ValueError(f"height={height}, width={width}: both have to be at least 1")
    if channels not in (1, 3):
        raise ValueError(f"channels={channels!r} is not one of 1 (grey), 3 (red, green, blue)")
    check_one_of("fit", fit, FITS)


def _resized(picture: Image.Image, height: int, width: int, fit: str) -> Image.Image:
    wide, high = picture.size
    method = Image.Resampling.BILINEAR  # averages over all pixels where the picture becomes smaller
    if fit == "stretch":
        return picture.resize((width, height), method)
    if fit == "crop":
        return ImageOps.fit(picture, (width, height), method)
    scale = min(width / wide, height / high)
    inner = max(1, min(width, round(wide * scale))), max(1, min(height, round(high * scale)))
    bars = Image.new(picture.mode, (width, height))
    bars.paste(picture.resize(inner, method), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return bars


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation; a picture whose EXIF block is damaged is still a picture, and upright."""
    try:
        found = picture.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


@contextmanager
def _without_warnings() -> Iterator[None]:
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
