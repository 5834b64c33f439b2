"""Pascal VOC: ``Annotations/*.xml`` with boxes, ``JPEGImages/``, ``ImageSets/Main/{train,val,test}.txt``.

Everingham, Van Gool, Williams, Winn and Zisserman, The Pascal Visual Object Classes Challenge, IJCV 88, 2010.

The boxes become counting questions, as in TallyQA (Acharya, Kafle and Kanan, 2019, arXiv:1810.12440): for
every photo one question for each class in it, and one for as many classes that are not (0). A digest of the
names decides which, so that a photo does not change the questions of another. Counts from ``MAX_COUNT`` on
share one answer, which keeps the list of answers closed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.files import Files, folders, listed, relative
from mm_envs.data.layouts.reading import listed_splits, shown, text_of
from mm_envs.data.records import Record

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Box: TypeAlias = "tuple[str, float, float, float, float]"

SIGN = "Annotations/*.xml with JPEGImages/"
GROUP = "photo"

MAX_COUNT = 20
_LISTS = {"train": "train", "validation": "val", "test": "test"}
_SUFFIXES = (".jpg", ".jpeg", ".png")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_MAX_XML = 2**24  # a photo with a thousand objects has about 400 kB


@dataclass(frozen=True)
class _Photo:
    name: str
    location: str
    picture: Path
    boxes: Sequence[Box]


def recognise(root: Path) -> str | None:
    """Names the directory of the annotations."""
    home = _home(root)
    if home is None:
        return None
    return "photos with boxes in the XML of Pascal VOC" + (f" ({home.name})" if home != root else "")


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads one item for each question about a photo: ``question`` "how many dogs are there", ``answer`` "2".

    ``boxes`` are all boxes of the photo as (class, left, top, right, bottom) in pixels; ``facts`` the classes
    in it; ``kind`` is "count". Empty boxes are left out and counted. Columns: ``photo`` and ``class``. The
    lists in ImageSets/Main are the splits where they exist, and photos in none of them are left out.
    """
    home = _home(root)
    if home is None:
        return []
    pictures = Files(root, [relative(home / "JPEGImages", root)])
    annotations = Files(root, [relative(home / "Annotations", root)], [".xml"])
    lists = home / "ImageSets" / "Main"
    splits = listed_splits({split: lists / f"{name}.txt" for split, name in _LISTS.items()})
    photos, empty = [], 0
    for name in splits or [Path(name).stem for name in annotations.paths]:
        with faults:
            photo, without = _photo(name, home, pictures, annotations)
            photos.append(photo)
            empty += without
    faults.notes += [f"{len(photos)} photos", f"{empty} empty boxes left out"]
    classes = sorted({box[0] for photo in photos for box in photo.boxes})
    return [record for photo in photos for record in _records(photo, classes, splits.get(photo.name))]


def answer_of(count: int) -> str:
    """Returns a count as an answer: "3", or "20+" from ``MAX_COUNT`` on."""
    return str(count) if count < MAX_COUNT else f"{MAX_COUNT}+"


def _records(photo: _Photo, classes: Sequence[str], split: str | None) -> list[Record]:
    counts = Counter(box[0] for box in photo.boxes)
    absent = [name for name in classes if name not in counts]
    absent.sort(key=lambda name: sha256(f"{photo.name}\0{name}".encode()).digest())
    asked = sorted([*counts, *absent[: max(1, len(counts))]])
    common = {"boxes": list(photo.boxes), "facts": sorted(counts), "kind": "count"}
    return [
        Record(
            f"{photo.location}, class {name}",
            {"image": photo.picture},
            {"question": f"how many {name} are there", "answer": answer_of(counts[name]), **common},
            split,
            {"photo": photo.name, "class": name},
        )
        for name in asked
    ]


def _photo(name: str, home: Path, pictures: Files, annotations: Files) -> tuple[_Photo, int]:
    """A photo and the number of its empty boxes."""
    root = pictures.root
    path = annotations.take(f"{name}.xml", relative(home / "ImageSets", root))
    boxes, empty = boxes_of(path)
    location = relative(path, root)
    found = (pictures.paths.get(name + suffix) for suffix in _SUFFIXES)
    picture = next((one for one in found if one), None) or pictures.take(f"{name}.jpg", location)
    return _Photo(name, location, picture, boxes), empty


def _home(root: Path) -> Path | None:
    """The directory with Annotations and JPEGImages: the folder, one in it, or VOCdevkit/VOC2007."""
    below = folders(root)
    for home in (root, *below, *(deeper for folder in below for deeper in folders(folder))):
        if (home / "JPEGImages").is_dir() and listed(home, "Annotations", [".xml"]):
            return home
    return None


# Boxes ------------------------------------------------------------------------------------------------------


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
