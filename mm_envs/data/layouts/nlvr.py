"""Cornell NLVR: ``{split}.json`` (JSON lines) with ``images/{directory}/{split}-{identifier}-{k}.png``.

Suhr, Lewis, Yeh and Artzi, A Corpus of Natural Language for Visual Reasoning, ACL 2017: sentences that are
true or false of a picture with three boxes. The same picture is there with its boxes in up to six orders.
"""

from __future__ import annotations

from pathlib import Path

from mm_envs.data.layouts.entries import Entry, json_lines
from mm_envs.data.layouts.files import Files, folders, relative
from mm_envs.data.layouts.reading import Gatherer, first_line, shown
from mm_envs.data.records import Record, Source

_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_ORDERS = range(6)
_LABELS = ("true", "false")


def recognise(root: Path) -> str | None:
    """Which parts of NLVR there are."""
    parts = ", ".join(path.stem for path in _annotations(root))
    return f"sentences that are true or false of a picture, of Cornell NLVR ({parts})" if parts else None


def read(root: Path, on_error: str) -> Source:
    """Every order of the boxes as one item: ``question`` the sentence, ``answer`` "true" or "false".

    Records have the columns ``sentence``, ``label``, ``identifier``, ``directory``, ``order`` and ``set``,
    the part of the identifier that all pictures of one sentence share; by default they stay in one split.
    The split is said where there is more than one file.

    Raises:
        ValueError: A line is no JSON, or a value is missing or wrong.
        FileNotFoundError: A picture is missing.
    """
    gatherer, annotations = Gatherer(on_error), _annotations(root)
    if not annotations:
        raise FileNotFoundError(f"{root}: no {' or '.join(f'{part}.json' for part in _SPLITS)}: put it there")
    for path in annotations:
        split = _SPLITS[path.stem] if len(annotations) > 1 else None
        pictures = _pictures(path, root)
        for entry in json_lines(path, root, gatherer):
            with gatherer.item():
                gatherer.records += _records(entry, path.stem, pictures, split)
    return gatherer.source("nlvr", root, recognise(root) or "", group="set")


def _records(entry: Entry, part: str, pictures: dict[str, Files], split: str | None) -> list[Record]:
    sentence, label, identifier, directory = (
        entry.get(key, str) for key in ("sentence", "label", "identifier", "directory")
    )
    if label not in _LABELS:
        raise entry.fault(f"label={shown(label)} is not one of {', '.join(_LABELS)}: mend it")
    values = {"question": sentence.strip(), "answer": label, "kind": "true/false"}
    columns = {"sentence": sentence, "label": label, "identifier": identifier, "directory": directory}
    columns["set"] = identifier.partition("-")[0]
    files = pictures.get(directory)
    found = {k: files and files.find(f"{part}-{identifier}-{k}.png") for k in _ORDERS}
    if not any(found.values()):
        name = shown(f"images/{directory}/{part}-{identifier}-*.png")
        raise FileNotFoundError(
            f"{entry.root / entry.place}: no picture {name}: put it there, or use on_error='skip'"
        )
    return [
        Record(f"{entry.place}, order {k}", {"image": picture}, values, split, {**columns, "order": k})
        for k, picture in found.items()
        if picture
    ]


def _pictures(annotations: Path, root: Path) -> dict[str, Files]:
    """The pictures in every directory beside a file of annotations."""
    return {
        folder.name: Files(root, [relative(folder, root)], [".png"])
        for folder in folders(annotations.parent, "images")
    }


def _annotations(root: Path) -> list[Path]:
    """The files of the parts, beside each other or each in a directory of its name."""
    places = [path for part in _SPLITS for path in (root / f"{part}.json", root / part / f"{part}.json")]
    return [path for path in places if path.is_file() and _fits(first_line(path))]


def _fits(line: str) -> bool:
    return line.startswith("{") and '"sentence"' in line and '"directory"' in line
