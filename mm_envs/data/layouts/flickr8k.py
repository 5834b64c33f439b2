"""Flickr8k and Flickr30k: ``Flickr8k.token.txt`` with ``{picture}#{k}<tab>{caption}``, pictures beside it.

Hodosh, Young and Hockenmaier, Framing Image Description as a Ranking Task, JAIR 47, 2013, and Young, Lai,
Hodosh and Hockenmaier, From image descriptions to visual denotations, TACL 2014: five captions a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mm_envs.data.folder.columns import KINDS
from mm_envs.data.layouts.files import Files, relative
from mm_envs.data.layouts.reading import Gatherer, shown, text_of
from mm_envs.data.records import Record, Source

_TOKENS = ("Flickr8k.token.txt", "Flickr8k_text/Flickr8k.token.txt", "results_20130124.token")
_PLACES = ("Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "Images", "images", ".")
_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "validation": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}


def recognise(root: Path) -> str | None:
    """Which file of captions there is."""
    path = _tokens(root)
    return None if path is None else f"pictures with several captions, of {relative(path, root)}"


def read(root: Path, on_error: str) -> Source:
    """One item for each picture, with its ``captions``.

    Records have the column ``picture``. Where the lists ``Flickr_8k.trainImages.txt`` and so on are there,
    they are the splits, and pictures in none of them are left out, as their authors do.

    Raises:
        ValueError: A line is not as above, or a picture is in two lists.
        FileNotFoundError: A picture is missing.
    """
    gatherer, path = Gatherer(on_error), _tokens(root)
    if path is None:
        raise FileNotFoundError(f"{root}: no {' or '.join(_TOKENS)}: put one there")
    splits, name = _splits(path.parent), relative(path, root)
    pictures = Files(root, _PLACES, [kind for kind, field in KINDS.items() if field == "image"])
    for picture, (line, captions) in captions_of(path, gatherer).items():
        if not splits or picture in splits:
            with gatherer.item():
                place = f"{name}, line {line}"
                media, split = {"image": pictures.take(picture, place)}, splits.get(picture)
                record = Record(place, media, {"captions": captions}, split, {"picture": picture})
                gatherer.records.append(record)
    return gatherer.source("flickr8k", root, recognise(root) or "")


def captions_of(path: Path, gatherer: Gatherer | None = None) -> Mapping[str, tuple[int, list[str]]]:
    """Picture -> its first line and its captions, in the order of the file.

    Args:
        path: A file with lines ``{picture}#{k}<tab>{caption}``.
        gatherer: Counts lines that are not so; without one they are raised.

    Raises:
        ValueError: A line is not so, or the file is not UTF-8.
    """
    gatherer = gatherer or Gatherer("raise")
    found: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if line.strip():
            with gatherer.item():
                picture, caption = _caption(line, f"{path}, line {number}")
                found.setdefault(picture, (number, []))[1].append(caption)
    return found


def _caption(line: str, where: str) -> tuple[str, str]:
    name, tab, caption = line.partition("\t")
    picture, sign, k = name.rpartition("#")
    if not (tab and sign and picture and k.isascii() and k.isdigit() and caption.strip()):
        raise ValueError(f"{where}: {shown(line)} is not {{picture}}#{{k}}<tab>{{caption}}: mend the line")
    return picture, caption.strip()


def _splits(folder: Path) -> dict[str, str]:
    """Picture -> split, from the lists that are there."""
    splits: dict[str, str] = {}
    for split, name in _LISTS.items():
        if (folder / name).is_file():
            for picture in text_of(folder / name).split():
                if splits.setdefault(picture, split) != split:
                    raise ValueError(
                        f"{folder / name}: {shown(picture)} is in {_LISTS[splits[picture]]}, too: "
                        "keep it in one of them"
                    )
    return splits


def _tokens(root: Path) -> Path | None:
    return next((root / name for name in _TOKENS if (root / name).is_file()), None)
