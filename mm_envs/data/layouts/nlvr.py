"""Cornell NLVR: ``{split}.json`` (JSON lines) with ``images/{directory}/{split}-{identifier}-{k}.png``.

Suhr, Lewis, Yeh and Artzi, A Corpus of Natural Language for Visual Reasoning, ACL 2017: sentences that are
true or false of a picture with three boxes. The same picture is there with its boxes in up to six orders.
"""

from __future__ import annotations

from pathlib import Path

from mm_envs.data.layouts.reading import (
    SPLIT_NAMES,
    Entry,
    Gatherer,
    first_line,
    inside,
    json_lines,
    relative,
    shown,
)
from mm_envs.data.records import Record, Source

_FILES = ("train", "dev", "test")
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
    gatherer, files = Gatherer(on_error), _annotations(root)
    if not files:
        raise FileNotFoundError(f"{root}: no {' or '.join(f'{part}.json' for part in _FILES)}: put it there")
    for path in files:
        split = SPLIT_NAMES[path.stem] if len(files) > 1 else None
        for entry in json_lines(path, root, gatherer):
            with gatherer.item():
                gatherer.records += _records(entry, path, split)
    return gatherer.source("nlvr", root, recognise(root) or "", group="set")


def _records(entry: Entry, path: Path, split: str | None) -> list[Record]:
    sentence, label, identifier, directory = (
        entry.get(key, str) for key in ("sentence", "label", "identifier", "directory")
    )
    if label not in _LABELS:
        raise entry.fault(f"label={shown(label)} is not one of {', '.join(_LABELS)}: mend it")
    values = {"question": sentence.strip(), "answer": label, "kind": "true/false"}
    columns = {"sentence": sentence, "label": label, "identifier": identifier, "directory": directory}
    columns["set"] = identifier.partition("-")[0]
    folder = relative(path.parent, entry.root)
    name = f"{folder}/images/{directory}/{path.stem}-{identifier}"
    found = [(k, picture) for k in _ORDERS if (picture := _picture(entry, f"{name}-{k}.png"))]
    if not found:
        missing = shown(f"{name}-*.png")
        raise FileNotFoundError(
            f"{entry.root / entry.place}: no picture {missing}: put it there, or use on_error='skip'"
        )
    return [
        Record(f"{entry.place}, order {k}", {"image": picture}, values, split, {**columns, "order": k})
        for k, picture in found
    ]


def _picture(entry: Entry, name: str) -> Path | None:
    try:
        return inside(entry.root, name, entry.place)
    except FileNotFoundError:
        return None


def _annotations(root: Path) -> list[Path]:
    """The files of the parts, beside each other or each in a directory of its name."""
    places = [path for part in _FILES for path in (root / f"{part}.json", root / part / f"{part}.json")]
    return [path for path in places if path.is_file() and _fits(first_line(path))]


def _fits(line: str) -> bool:
    return line.startswith("{") and '"sentence"' in line and '"directory"' in line
