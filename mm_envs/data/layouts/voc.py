"""Pascal VOC: ``Annotations/*.xml`` with boxes, ``JPEGImages/``, ``ImageSets/Main/{train,val,test}.txt``.

Everingham, Van Gool, Williams, Winn and Zisserman, The Pascal Visual Object Classes Challenge, IJCV 88, 2010.

The boxes become counting questions, as in TallyQA (Acharya, Kafle and Kanan, 2019, arXiv:1810.12440): for
every photo one question for each class in it, and one for as many classes that are not (0). A digest of the
names decides which, so that a photo does not change the questions of another. Counts from ``MAX_COUNT`` on
share one answer, which keeps the list of answers closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.boxes import Box, boxes_of
from mm_envs.data.layouts.files import Files, folders, listed, relative
from mm_envs.data.layouts.reading import listed_splits
from mm_envs.data.records import Record

SIGN = "Annotations/*.xml with JPEGImages/"
GROUP = "photo"

MAX_COUNT = 20
_LISTS = {"train": "train", "validation": "val", "test": "test"}
_SUFFIXES = (".jpg", ".jpeg", ".png")


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
