"""The boxes of one photo, in the XML of Pascal VOC."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mm_envs.data.layouts.reading import shown, text_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Box: TypeAlias = "tuple[str, float, float, float, float]"

# A photo with a thousand objects has about 400 kB.
_MAX_XML = 2**24
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def boxes_of(path: Path) -> tuple[list[Box], int]:
    """Returns the boxes (class, left, top, right, bottom) of a photo in pixels, and the number of empty ones.

    Raises:
        ValueError: The file is no XML of this kind, is not UTF-8, or declares types or entities, which can
            expand a small file to a huge one.
        FileNotFoundError: There is no such file.
    """
    boxes, empty = [], 0
    for i, found in enumerate(_parsed(path).iterfind("object")):
        box = _box(found, f"{path}, object[{i}]")
        if box[1] < box[3] and box[2] < box[4]:
            boxes.append(box)
        else:
            empty += 1
    return boxes, empty


def _box(found: Element, where: str) -> Box:
    name = " ".join((found.findtext("name") or "").split())
    if not name:
        raise ValueError(f"{where}: name is missing: add it")
    sides = [found.findtext(f"bndbox/{side}") for side in _SIDES]
    for side, text in zip(_SIDES, sides, strict=True):
        if not _is_number(text):
            raise ValueError(f"{where}: {side}={shown(text)} is not a number: mend it")
    left, top, right, bottom = (float(text or 0) for text in sides)
    return name, left, top, right, bottom


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


def _parsed(path: Path) -> Element:
    from xml.etree import ElementTree

    # Decoded first, so that no encoding in the header can hide a declaration.
    text = text_of(path, _MAX_XML)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError(f"{path}: declares types or entities, which no annotation needs: take them out")
    try:
        found = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line, column = error.position
        reason = str(error).partition(":")[0]
        raise ValueError(
            f"{path}, line {line}, column {column + 1}: not XML ({reason}): mend it or get the file anew"
        ) from None
    if found.tag != "annotation":
        raise ValueError(f"{path}: is about <{shown(found.tag)[1:-1]}>, not <annotation>: get the file anew")
    return found
