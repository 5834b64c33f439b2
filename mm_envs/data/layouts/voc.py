"""Pascal VOC: ``Annotations/*.xml`` with boxes, ``JPEGImages/``, ``ImageSets/Main/{train,val,test}.txt``.

Everingham, Van Gool, Williams, Winn and Zisserman, The Pascal Visual Object Classes Challenge, IJCV 88, 2010.

The boxes become questions to be answered by counting, in the way of TallyQA (Acharya, Kafle and Kanan, 2019,
arXiv:1810.12440): for every photo one for each class that is in it, and one for as many classes that are not
(0). Which ones those are is decided by a digest of the names, so that no photo changes those of another.
Counts from ``MOST`` on share one answer, which keeps the answers a closed list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mm_envs.data.layouts.boxes import Box, boxes_of
from mm_envs.data.layouts.files import Files, folders, listed, relative
from mm_envs.data.layouts.reading import Gatherer, shown, text_of
from mm_envs.data.records import Record, Source

MOST = 20
_LISTS = {"train": "train", "val": "validation", "test": "test"}
_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class _Photo:
    name: str
    place: str
    picture: Path
    boxes: Sequence[Box]


def recognise(root: Path) -> str | None:
    """Where the annotations are."""
    home = _home(root)
    if home is None:
        return None
    return "photos with boxes in the XML of Pascal VOC" + (f" ({home.name})" if home != root else "")


def read(root: Path, on_error: str) -> Source:
    """One item for each question about a photo: ``question`` "how many dogs are there", ``answer`` "2".

    ``boxes`` are all boxes of the photo as (class, left, top, right, bottom) in the pixels of its file, as
    they stand there; ``facts`` the classes that are in it; ``kind`` is "count". Empty boxes are left out and
    counted in ``says``. Records have the columns ``photo`` and ``class``; by default the questions about one
    photo stay in one split. The lists in ImageSets/Main are the splits where they are there, and photos in
    none of them are left out.

    Raises:
        ValueError: A file is no XML or holds declarations, a box is no box, or a photo is in two lists.
        FileNotFoundError: A file is missing.
    """
    home, gatherer = _home(root), Gatherer(on_error)
    if home is None:
        raise FileNotFoundError(f"{root}: no Annotations/*.xml beside JPEGImages/: put them there")
    pictures = Files(root, [relative(home / "JPEGImages", root)])
    annotations = Files(root, [relative(home / "Annotations", root)], [".xml"])
    splits, photos, empty = _splits(home), [], 0
    for name in splits or [Path(name).stem for name in annotations.paths]:
        with gatherer.item():
            photo, without = _photo(name, home, pictures, annotations)
            photos.append(photo)
            empty += without
    classes = sorted({box[0] for photo in photos for box in photo.boxes})
    for photo in photos:
        gatherer.records += _records(photo, classes, splits.get(photo.name))
    says = f"{recognise(root)}, {len(photos)} photos, {empty} empty boxes left out"
    return gatherer.source("voc", root, says, group="photo")


def answer_of(count: int) -> str:
    """A count as an answer.

    Example:
        >>> answer_of(3), answer_of(20), answer_of(31)
        ('3', '20+', '20+')
    """
    return str(count) if count < MOST else f"{MOST}+"


def _records(photo: _Photo, classes: Sequence[str], split: str | None) -> list[Record]:
    counts = Counter(box[0] for box in photo.boxes)
    absent = [name for name in classes if name not in counts]
    absent.sort(key=lambda name: sha256(f"{photo.name}\0{name}".encode()).digest())
    asked = sorted([*counts, *absent[: max(1, len(counts))]])
    seen = {"boxes": list(photo.boxes), "facts": sorted(counts), "kind": "count"}
    return [
        Record(
            f"{photo.place}, class {name}",
            {"image": photo.picture},
            {"question": f"how many {name} are there", "answer": answer_of(counts[name]), **seen},
            split,
            {"photo": photo.name, "class": name},
        )
        for name in asked
    ]


def _photo(name: str, home: Path, pictures: Files, annotations: Files) -> tuple[_Photo, int]:
    """A photo, and how many empty boxes it has."""
    root = pictures.root
    path = annotations.take(f"{name}.xml", relative(home / "ImageSets", root))
    boxes, empty = boxes_of(path)
    place = relative(path, root)
    found = (pictures.find(name + suffix) for suffix in _SUFFIXES)
    picture = next((one for one in found if one), None) or pictures.take(f"{name}.jpg", place)
    return _Photo(name, place, picture, boxes), empty


def _splits(home: Path) -> dict[str, str]:
    """Photo -> split, from the lists that are there."""
    splits: dict[str, str] = {}
    for part, split in _LISTS.items():
        path = home / "ImageSets" / "Main" / f"{part}.txt"
        for name in text_of(path).split() if path.is_file() else ():
            if splits.setdefault(name, split) != split:
                raise ValueError(f"{path}: {shown(name)} is in two lists: keep it in one of them")
    return splits


def _home(root: Path) -> Path | None:
    """The directory with Annotations and JPEGImages: the folder, one in it, or VOCdevkit/VOC2007."""
    below = folders(root)
    for home in (root, *below, *(deeper for folder in below for deeper in folders(folder))):
        if (home / "JPEGImages").is_dir() and listed(home, "Annotations", [".xml"]):
            return home
    return None
