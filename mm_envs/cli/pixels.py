"""Pictures in a terminal: two pixels a character, as half blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from rich.text import Text

_UPPER_HALF = "\N{UPPER HALF BLOCK}"


def as_blocks(picture: Picture, columns: int = 64) -> Text:
    """The picture as text: every character is an upper half block whose two colours are two pixels.

    Args:
        picture: Any Pillow picture.
        columns: How many characters wide at most; a smaller picture keeps its size.

    Example:
        >>> from PIL import Image
        >>> print(as_blocks(Image.new("RGB", (2, 4), (255, 0, 0))).plain)
        ▀▀
        ▀▀
    """
    from PIL import Image as pillow
    from rich.text import Text

    width = min(columns, picture.width)
    height = max(1, round(picture.height * width / picture.width))
    small = picture.convert("RGB").resize((width, height + height % 2), pillow.Resampling.BOX)
    pixels = small.tobytes()
    text = Text()
    for top in range(0, small.height, 2):
        if top:
            text.append("\n")
        for column in range(width):
            upper, lower = (_colour(pixels, (top + half) * width + column) for half in (0, 1))
            text.append(_UPPER_HALF, style=f"{upper} on {lower}")
    return text


def _colour(pixels: bytes, index: int) -> str:
    return f"#{pixels[3 * index : 3 * index + 3].hex()}"
