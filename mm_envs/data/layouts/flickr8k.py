"""Flickr8k and Flickr30k: ``Flickr8k.token.txt`` with lines ``{picture}#{k}<tab>{caption}``, and pictures.

Hodosh, Young and Hockenmaier, Framing Image Description as a Ranking Task, JAIR 47, 2013, and Young, Lai,
Hodosh and Hockenmaier, From image descriptions to visual denotations, TACL 2014: five captions a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.columns import KINDS
from mm_envs.data.layouts.files import Files, relative
from mm_envs.data.layouts.reading import listed_splits, shown, text_of
from mm_envs.data.records import Record

SIGN = "Flickr8k.token.txt"
GROUP = None

_TOKENS = (SIGN, "Flickr8k_text/Flickr8k.token.txt", "results_20130124.token")
_DIRECTORIES = ("Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "Images", "images", ".")
_LISTS = {"train": "train", "validation": "dev", "test": "test"}


def recognise(root: Path) -> str | None:
    """Names the file of captions."""
    path = _tokens(root)
    return None if path is None else f"pictures with several captions, of {relative(path, root)}"


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads one item for each picture, with its ``captions``.

    Column: ``picture``. If the lists ``Flickr_8k.trainImages.txt`` and so on exist, they are the splits, and
    pictures in none of them are left out, as their authors do.
    """
    records, path = [], _tokens(root)
    if path is None:
        return []
    splits = listed_splits(
        {split: path.parent / f"Flickr_8k.{name}Images.txt" for split, name in _LISTS.items()}
    )
    pictures = Files(root, _DIRECTORIES, [kind for kind, field in KINDS.items() if field == "image"])
    for picture, (line, captions) in captions_of(path, faults).items():
        if not splits or picture in splits:
            with faults:
                location = f"{relative(path, root)}, line {line}"
                media = {"image": pictures.take(picture, location)}
                values, columns = {"captions": captions}, {"picture": picture}
                records.append(Record(location, media, values, splits.get(picture), columns))
    return records


def captions_of(path: Path, faults: Faults) -> Mapping[str, tuple[int, list[str]]]:
    """Reads the number of the first line and the captions of each picture, in the order of the file."""
    found: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if line.strip():
            with faults:
                picture, caption = _caption(line, f"{path}, line {number}")
                found.setdefault(picture, (number, []))[1].append(caption)
    return found


def _caption(line: str, where: str) -> tuple[str, str]:
    name, tab, caption = line.partition("\t")
    picture, sign, k = name.rpartition("#")
    if not (tab and sign and picture and k.isascii() and k.isdigit() and caption.strip()):
        raise ValueError(f"{where}: {shown(line)} is not {{picture}}#{{k}}<tab>{{caption}}: mend the line")
    return picture, caption.strip()


def _tokens(root: Path) -> Path | None:
    return next((root / name for name in _TOKENS if (root / name).is_file()), None)
