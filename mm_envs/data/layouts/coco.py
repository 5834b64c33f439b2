"""COCO captions: ``annotations/captions_{subset}.json`` with the pictures in ``{subset}/``.

Chen, Fang, Lin, Vedantam, Gupta, Dollar and Zitnick, Microsoft COCO Captions, 2015, arXiv:1504.00325.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.columns import split_name
from mm_envs.data.layouts.files import Files, listed, relative
from mm_envs.data.layouts.reading import Entry, json_of, shown
from mm_envs.data.records import Record

SIGN = "annotations/captions_*.json"
GROUP = None


def recognise(root: Path) -> str | None:
    """Lists the files of captions."""
    names = ", ".join(path.name for path in _annotations(root))
    return f"pictures with several captions, in the JSON of COCO ({names})" if names else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads one item for each picture, with its ``captions`` in the order of the file.

    Columns: ``image_id`` and ``file_name``. The split is that of the name of the file
    (``captions_train2017.json``), if there are several.
    """
    records, files = [], _annotations(root)
    for path in files:
        subset = path.stem.partition("_")[2]
        split = subset_split(subset) if len(files) > 1 else None
        file, pictures = json_of(path, root), pictures_of(path, root, subset)
        captions, seen = _captions(file, faults), set()
        for image in file.entries("images", faults):
            with faults:
                number = image.get("id", int)
                if number in seen:
                    raise image.fault(f"id={shown(number)} is used twice: keep one of them")
                seen.add(number)
                records.append(_record(image, number, captions, pictures, split))
    return records


def subset_split(subset: str) -> str | None:
    """Returns the split of a part of COCO by its name, such as "val2017"; None if it has another name."""
    return split_name(subset.rstrip("0123456789"))


def pictures_of(annotations: Path, root: Path, subset: str) -> Files:
    """Returns the pictures of a part of COCO, in any of the usual directories."""
    own = relative(annotations.parent, root)
    return Files(root, (subset, f"images/{subset}", "images", own, "."))


def _record(
    image: Entry, number: int, captions: Mapping[int, list[str]], pictures: Files, split: str | None
) -> Record:
    name = image.get("file_name", str)
    if number not in captions:
        raise image.fault(f"picture {shown(number)} has no caption: add one, or use on_error='skip'")
    columns = {"image_id": number, "file_name": name}
    picture = pictures.take(name, image.location)
    return Record(image.location, {"image": picture}, {"captions": captions[number]}, split, columns)


def _captions(file: Entry, faults: Faults) -> Mapping[int, list[str]]:
    captions: dict[int, list[str]] = defaultdict(list)
    for one in file.entries("annotations", faults):
        with faults:
            caption = one.get("caption", str).strip()
            if not caption:
                raise one.fault("caption is empty: write one, or use on_error='skip'")
            captions[one.get("image_id", int)].append(caption)
    return captions


def _annotations(root: Path) -> list[Path]:
    files = [path for directory in ("annotations", ".") for path in listed(root, directory, [".json"])]
    return [path for path in files if path.name.startswith("captions_")]
