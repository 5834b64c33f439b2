"""Cornell NLVR: ``{split}.json`` (JSON lines) with ``images/{directory}/{split}-{identifier}-{k}.png``.

Suhr, Lewis, Yeh and Artzi, A Corpus of Natural Language for Visual Reasoning, ACL 2017: sentences that are
true or false of a picture of three boxes. Each picture exists with its boxes in up to six orders.
"""

from __future__ import annotations

from pathlib import Path

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.files import Files, folders, relative
from mm_envs.data.layouts.reading import Entry, first_line, json_lines, shown
from mm_envs.data.records import Record

SIGN = "dev.json with images/"
GROUP = "set"

_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_ORDERS = range(6)
_LABELS = ("true", "false")
_COLUMNS = ("sentence", "label", "identifier", "directory")


def recognise(root: Path) -> str | None:
    """Lists the parts of NLVR that exist."""
    parts = ", ".join(path.stem for path in _annotations(root))
    return f"sentences that are true or false of a picture, of Cornell NLVR ({parts})" if parts else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads every order of the boxes as one item: ``question`` the sentence, ``answer`` "true" or "false".

    Columns: ``sentence``, ``label``, ``identifier``, ``directory``, ``order`` and ``set``, the part of the
    identifier that all pictures of one sentence share. The split is that of the file, if there are several.
    """
    records, annotations = [], _annotations(root)
    for path in annotations:
        split = _SPLITS[path.stem] if len(annotations) > 1 else None
        pictures = {
            folder.name: Files(root, [relative(folder, root)], [".png"])
            for folder in folders(path.parent, "images")
        }
        for entry in json_lines(path, root, faults):
            with faults:
                records += _records(entry, path.stem, pictures, split)
    return records


def _records(entry: Entry, part: str, pictures: dict[str, Files], split: str | None) -> list[Record]:
    columns = {key: entry.get(key, str) for key in _COLUMNS}
    sentence, label, identifier, directory = columns.values()
    if label not in _LABELS:
        raise entry.fault(f"label={shown(label)} is not one of {', '.join(_LABELS)}: mend it")
    values = {"question": sentence.strip(), "answer": label, "kind": "true/false"}
    columns["set"] = identifier.partition("-")[0]
    files = pictures.get(directory)
    found = {k: files and files.paths.get(f"{part}-{identifier}-{k}.png") for k in _ORDERS}
    if not any(found.values()):
        name = shown(f"images/{directory}/{part}-{identifier}-*.png")
        raise FileNotFoundError(
            f"{entry.root / entry.location}: no picture {name}: put it there, or use on_error='skip'"
        )
    return [
        Record(f"{entry.location}, order {k}", {"image": picture}, values, split, {**columns, "order": k})
        for k, picture in found.items()
        if picture
    ]


def _annotations(root: Path) -> list[Path]:
    """The files of the parts, in the folder or each in a directory of its name."""
    paths = [path for part in _SPLITS for path in (root / f"{part}.json", root / part / f"{part}.json")]
    return [path for path in paths if path.is_file() and _fits(first_line(path))]


def _fits(line: str) -> bool:
    return line.startswith("{") and '"sentence"' in line and '"directory"' in line
