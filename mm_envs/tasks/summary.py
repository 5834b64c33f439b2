"""A summary of a folder and of the environments that run on it, without decoding all of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from mm_envs.data.dataset import SPLITS
from mm_envs.data.faults import Faults
from mm_envs.data.folder import Folder
from mm_envs.data.folder.forms import forms_of
from mm_envs.data.folder.items import Item, items_of
from mm_envs.data.layouts import read_source, recognise
from mm_envs.data.media import probe
from mm_envs.data.records import MEDIA_FIELDS, Record, Source
from mm_envs.tasks import make_task

# The number of items that tasks are tried on, and of files whose headers are read.
_TRIED, _PROBED = 24, 300
_IDS = {"classify": "MMClassify-v0", "caption": "MMCaption-v0", "vqa": "MMVQA-v0"}
_NO_GROUP = re.compile(r"split|kind|(.*_)?file_name")
_CLASSES = ("label", "answer", "kind")


@dataclass(frozen=True)
class Summary:
    """The content of a folder.

    Attributes:
        path: The folder.
        layout: Its layout.
        says: What was recognised, in one sentence.
        others: Other layouts that fit.
        items: The number of usable items of each split.
        split_by: What decided the splits: "source" or "content".
        media: Field -> the number of files and the ranges of their sizes.
        fields: Field -> the number of different values, and examples.
        groups: Column -> the number of its values, for columns that can be kept within one split.
        group: The column that is kept within one split by default.
        decoded_bytes: The size of the decoded files, at the default size of pictures.
        environments: The ids that run on the folder: ``id``, ``sees``, the lines ``python`` and ``train``.
        warnings: What to know before training on it.
        faults: One sentence for each item that was left out.
    """

    path: Path
    layout: str
    says: str
    others: Sequence[str]
    items: Mapping[str, int]
    split_by: str
    media: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, int]
    group: str | None
    decoded_bytes: int
    environments: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    faults: Sequence[str]


def summarise(path: Path, layout: str = "auto") -> Summary:
    """Summarises a folder; bad items are left out and reported.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No layout fits, or no item can be used.
    """
    source, faults = read_source(path, layout, on_error="skip"), Faults("skip")
    items = items_of(source.records, source.root, "auto", source.group, None, faults)
    forms, items = forms_of(items, (64, 64), 3, "pad", None, None, 8, faults)
    records = [item.record for item in items]
    counts = Counter(item.split for item in items)
    names = dict.fromkeys(name for record in records for name in record.values)
    fields = {name: _field(name, records) for name in names}
    return Summary(
        path,
        source.layout,
        source.says,
        [name for name, _ in recognise(path) if name != source.layout],
        {split: counts[split] for split in SPLITS},
        "source" if any(record.split for record in records) else "content",
        {name: _media(name, records) for name in forms},
        fields,
        _groups(records),
        source.group,
        sum(form.row_bytes for form in forms.values()) * len(items),
        _environments(source, items, layout),
        [*_warnings(items, counts), *faults.notes],
        [*source.skipped, *faults.sentences],
    )


# Fields and columns -----------------------------------------------------------------------------------------


def _field(name: str, records: Sequence[Record]) -> dict[str, Any]:
    values = [record.values[name] for record in records if name in record.values]
    items: dict[str, Any] = {"items": len(values)}
    if isinstance(values[0], (list, tuple)):
        lengths = [len(value) for value in values]
        return items | {"least": min(lengths), "most": max(lengths), "examples": list(values[0])[:3]}
    counts = Counter(values)
    every = {"counts": dict(counts.most_common())} if name in _CLASSES else {}
    return {**items, "different": len(counts), **every, "examples": list(counts)[:3]}


def _media(name: str, records: Sequence[Record]) -> dict[str, Any]:
    """Returns the number of files, and the range of the sizes of some of them."""
    media = [one.media[name] for one in records if name in one.media]
    files = list(dict.fromkeys(one for one in media if isinstance(one, Path)))
    arrays = [one.shape for one in media if not isinstance(one, Path)]
    found = []
    for path in files[:: -(-len(files) // _PROBED) or 1]:
        with suppress(ValueError, FileNotFoundError):  # reported when it is decoded
            found.append(probe(path))
    measured = {
        "width": [*(shape[1] for shape in arrays), *(one.width for one in found if one.width)],
        "height": [*(shape[0] for shape in arrays), *(one.height for one in found if one.height)],
        "frames": [one.frames for one in found if one.frames],
        "sample_rate": [one.sample_rate for one in found if one.sample_rate],
        "seconds": [one.samples / one.sample_rate for one in found if one.samples and one.sample_rate],
    }
    ranges = {key: (min(values), max(values)) for key, values in measured.items() if values}
    return {"files": len(files), "arrays": len(arrays), **ranges}


def _groups(records: Sequence[Record]) -> dict[str, int]:
    """Returns the columns with several items to a value, except those that repeat the label."""
    found = {}
    for name in dict.fromkeys(name for record in records for name in record.columns):
        values = [record.columns.get(name) for record in records]
        if not all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in values):
            continue
        different = len(set(values))
        answers = [str(record.values.get("label", record.values.get("answer"))) for record in records]
        repeats_label = len(set(zip(values, answers, strict=True))) == len(set(answers)) == different
        if 2 <= different <= len(records) / 2 and not repeats_label and not _NO_GROUP.fullmatch(name):
            found[name] = different
    return found


# Warnings ---------------------------------------------------------------------------------------------------


def _warnings(items: Sequence[Item], counts: Mapping[str, int]) -> list[str]:
    warnings = [f"the {split} split is empty" for split in SPLITS if not counts.get(split)]
    for name in ("label", "answer"):
        warnings += _imbalance(name, items)
    names: dict[str, set[str]] = {}
    for item in items:
        for field, digest in item.digests.items():
            media = item.record.media[field]
            names.setdefault(digest, set()).add(
                str(media) if isinstance(media, Path) else item.record.location
            )
    if twice := [sorted(files) for files in names.values() if len(files) > 1]:
        example = " = ".join(twice[0][:2])
        warnings.append(f"{len(twice)} files are there more than once under different names, e.g. {example}")
    return warnings


def _imbalance(name: str, items: Sequence[Item]) -> list[str]:
    counts = Counter(item.record.values[name] for item in items if name in item.record.values)
    if not counts:
        return []
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    warnings = []
    if many >= 10 * few:
        share = f"{many / counts.total():.0%}"
        warnings.append(f"{name}s are unbalanced: {most!r} {many} times ({share}), {least!r} {few} times")
    known = {item.record.values.get(name) for item in items if item.split == "train"}
    unknown = [value for value in counts if value not in known]
    if unknown:
        warnings.append(
            f"{len(unknown)} {name}s are in no training item, e.g. {unknown[0]!r}: they cannot be learned"
        )
    return warnings


# Environments -----------------------------------------------------------------------------------------------


def _environments(source: Source, items: Sequence[Item], layout: str) -> list[dict[str, Any]]:
    """Returns the environments that run on some of the items."""
    training = [item.record for item in items if item.split == "train"]
    some = [replace(one, split="train") for one in training[:: -(-len(training) // _TRIED) or 1]]
    try:
        folder = Folder(replace(source, records=some, skipped=()), size=36, on_error="skip")
    except ValueError:
        return []
    found = []
    for task, name in _IDS.items():
        try:
            made = make_task(task, dataset=folder)
        except ValueError:
            continue
        if any(key in MEDIA_FIELDS or key == "text" for key in made.modalities):
            found.append({"id": name, "sees": list(made.modalities), **_lines(name, source.root, layout)})
    return found


def _lines(name: str, root: Path, layout: str) -> dict[str, str]:
    further, option = ("", "") if layout == "auto" else (f", layout={layout!r}", f" --layout {layout}")
    return {
        "python": f'gym.make("{name}", dataset="folder", path={str(root)!r}{further})',
        "train": f"mm-envs train {name} --data {quote(str(root))}{option} --out runs/{name}",
    }
