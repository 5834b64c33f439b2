"""Pictures from files or arrays, in one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mm_envs.data.media.files import MediaError, faults, read_file
from mm_envs.data.media.pictures import check_shape, fitted, open_picture


def read_image(
    media: str | Path | NDArray[np.uint8], height: int, width: int, channels: int = 3, fit: str = "pad"
) -> Tensor:
    """Reads a picture in a given size, upright by its EXIF orientation and white where it is transparent.

    The first frame of an animated file is read. Pixels are interpolated linearly, and averaged where the
    picture becomes smaller.

    Args:
        media: A PNG, JPEG, WebP, GIF or BMP file; or pixels of shape (height, width),
            (height, width, 1), (height, width, 3) or (height, width, 4), uint8.
        height: Pixels from top to bottom.
        width: Pixels from left to right.
        channels: 3 (red, green, blue) or 1 (grey).
        fit: "pad" keeps the proportions and adds black bars, "stretch" does not keep them, "crop" keeps them
            and cuts both sides.

    Returns:
        Shape (channels, height, width), uint8.

    Raises:
        FileNotFoundError: There is no such file.
        MediaError: The file is no picture, damaged, truncated or too large; the sentence names it.
        ValueError: Another argument does not fit.

    Example:
        >>> read_image(np.full((2, 4), 7, np.uint8), height=2, width=2, channels=1)[0].tolist()
        [[7, 7], [0, 0]]
    """
    check_shape(height, width, channels, fit)
    if isinstance(media, np.ndarray):
        return fitted(_from_array(media), 1, height, width, channels, fit)
    file = read_file(media)
    with faults(file):
        picture, _, orientation = open_picture(file)
        # JPEG decodes at an eighth, a quarter or half of its size as fast; twice ours is fine enough.
        picture.draft(None, (2 * max(height, width),) * 2)
        return fitted(picture, orientation, height, width, channels, fit)


def _from_array(pixels: NDArray[np.uint8]) -> Image.Image:
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if pixels.dtype != np.uint8 or not fits or not pixels.size:
        raise MediaError(
            f"an array of shape {pixels.shape} and dtype {pixels.dtype} is no picture: give (height, width)"
            " or (height, width, 1, 3 or 4) as uint8"
        )
    plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(plain))
