"""COCO captions: ``annotations/captions_{subset}.json`` with the pictures in ``{subset}/``.

Chen, Fang, Lin, Vedantam, Gupta, Dollar and Zitnick, Microsoft COCO Captions, 2015, arXiv:1504.00325.

``torchvision.datasets.CocoCaptions`` reads the same file through pycocotools, which it needs installed, and
takes what stands in it on trust; the tests compare with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mm_envs.data.folder.columns import split_name
from mm_envs.data.layouts.entries import Entry, json_of
from mm_envs.data.layouts.files import Files, listed, relative
from mm_envs.data.layouts.reading import Gatherer, shown
from mm_envs.data.records import Record, Source

_PLACES = ("annotations", ".")


def recognise(root: Path) -> str | None:
    """Which files of captions there are."""
    names = ", ".join(path.name for path in _annotations(root))
    return f"pictures with several captions, in the JSON of COCO ({names})" if names else None


def read(root: Path, on_error: str) -> Source:
    """One item for each picture, with its ``captions`` in the order of the file.

    Records have the columns ``image_id`` and ``file_name``; their split is that of the file name
    (``captions_train2017.json``), where there is more than one file.

    Raises:
        ValueError: A file is no JSON, a value is missing or wrong, or a picture has no caption.
        FileNotFoundError: A picture is missing.
    """
    gatherer, files = Gatherer(on_error), _annotations(root)
    if not files:
        raise FileNotFoundError(f"{root}: no annotations/captions_*.json: put one there")
    for path in files:
        subset = path.stem.partition("_")[2]
        split = subset_split(subset) if len(files) > 1 else None
        _gather(json_of(path, root), pictures_of(path, root, subset), split, gatherer)
    return gatherer.source("coco", root, recognise(root) or "")


def subset_split(subset: str) -> str | None:
    """The split that the name of a part of COCO means.

    Example:
        >>> subset_split("val2017"), subset_split("mine")
        ('validation', None)
    """
    return split_name(subset.rstrip("0123456789"))


def pictures_of(annotations: Path, root: Path, subset: str) -> Files:
    """The pictures of a part of COCO, wherever people unpack them."""
    beside = relative(annotations.parent, root)
    return Files(root, (subset, f"images/{subset}", "images", beside, "."))


def _gather(file: Entry, pictures: Files, split: str | None, gatherer: Gatherer) -> None:
    captions = _captions(file, gatherer)
    seen: set[int] = set()
    for image in file.entries("images", gatherer):
        with gatherer.item():
            number = image.get("id", int)
            if number in seen:
                raise image.fault(f"id={shown(number)} stands twice: keep one of them")
            seen.add(number)
            gatherer.records.append(_record(image, number, captions, pictures, split))


def _record(
    image: Entry, number: int, captions: Mapping[int, list[str]], pictures: Files, split: str | None
) -> Record:
    name = image.get("file_name", str)
    if number not in captions:
        raise image.fault(f"picture {shown(number)} has no caption: add one, or use on_error='skip'")
    columns = {"image_id": number, "file_name": name}
    picture = pictures.take(name, image.place)
    return Record(image.place, {"image": picture}, {"captions": captions[number]}, split, columns)


def _captions(file: Entry, gatherer: Gatherer) -> Mapping[int, list[str]]:
    captions: dict[int, list[str]] = defaultdict(list)
    for one in file.entries("annotations", gatherer):
        with gatherer.item():
            caption = one.get("caption", str).strip()
            if not caption:
                raise one.fault("caption is empty: write one, or use on_error='skip'")
            captions[one.get("image_id", int)].append(caption)
    return captions


def _annotations(root: Path) -> list[Path]:
    files = [path for place in _PLACES for path in listed(root, place, [".json"])]
    return [path for path in files if path.name.startswith("captions_")]
