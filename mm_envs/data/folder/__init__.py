"""A folder of pictures, sounds, videos and texts as a dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from mm_envs.data.dataset import SPLITS, Dataset
from mm_envs.data.faults import Faults, Report
from mm_envs.data.folder.arguments import refuse_wrong_kinds
from mm_envs.data.folder.forms import forms_of, sides
from mm_envs.data.folder.grader import FactGrader, ReferenceGrader
from mm_envs.data.folder.items import Item, items_of, notes_on_copies
from mm_envs.data.folder.splits import SplitBy
from mm_envs.data.folder.store import Form, decoded
from mm_envs.data.folder.texts import Pinned
from mm_envs.data.folder.values import Classes, Words, drop_unknown_classes, named_labels, pinned_classes
from mm_envs.data.layouts import read_source
from mm_envs.data.layouts.columns import Mapped
from mm_envs.data.protocols import Captions
from mm_envs.data.records import Source
from mm_envs.names import one_of
from mm_envs.spaces import Audio, Count, Image, Tokens, UniformBox, Video

__all__ = ["Folder", "Report"]


class Folder(Dataset):
    r"""A folder of files with a table of labels and texts.

    The table is ``metadata.jsonl`` or ``metadata.csv`` as in the Hugging Face imagefolder and audiofolder, or
    any published layout (``mm-envs data describe PATH`` shows which one is recognised). The column
    ``file_name`` holds the file, or ``image_file_name``, ``audio_file_name`` and ``video_file_name`` if items
    have several; other columns are ``label``, ``text``, ``caption`` (``captions``, ``caption_1``, ...),
    ``question``, ``answer`` (the most frequent one of ``answers``), ``kind``, ``facts`` and ``split``.

    The fields are ``image`` (uint8), ``video`` (uint8), ``audio`` (float32) with ``audio_length`` (samples),
    ``text`` and ``question`` (int64 tokens) with their ``_length``, ``label``, ``answer`` and ``kind`` (int64
    classes), ``captions`` (int64, references x words) and ``facts`` (bool, which of all facts are true).
    If some items lack a picture, sound or text, ``<key>_present`` is 0 or 1. ``item`` is the index.

    All files are decoded when the folder is opened, so that every fault is found at once. No content is in
    two splits; equal files are found by digest.

    The vocabulary of each field holds the words of its training items, the most frequent first; other words
    are ``<unk>``, which matches nothing, not even another ``<unk>``. Texts and questions are as long as the
    longest, at most 64 words; ``report`` notes how many are cut.

    Args:
        path: The folder, or a ``Source`` that has been read.
        layout: ``"auto"``, ``"metadata"``, or one of ``mm_envs.data.layouts.LAYOUTS``.
        size: Height and width of pictures in pixels, one number or both.
        channels: 3 (RGB) or 1 (grey).
        fit: ``"pad"`` (keep the proportions, black bars), ``"stretch"`` or ``"crop"`` (the centre).
        sample_rate: The sample rate of sounds in hertz; None: the most frequent one, at most 16,000.
        seconds: The length of sounds: longer ones are cut and shorter ones padded with silence; None: the
            length that 95 % of them do not exceed, at most 5.
        frames: The number of frames of videos, evenly spaced over the clip.
        split_by: ``"auto"``: the split of the source, else by hash; ``"hash"``: 75, 12.5 and 12.5 % by the
            content of the files; a column that holds train, validation (val, dev) or test; or a column with
            the splits of some values, all others being for training: ``{"fold": {"5": "test"}}``.
        group: A column (speaker, photographer) none of whose values is in two splits; None: the one of the
            layout, if it has one.
        columns: Field -> its column, where it has another name: ``{"label": "species"}``.
        classes: The names of the labels (or, as a mapping, of labels and answers) in the order of their
            numbers; None: all names that occur, sorted. If all labels are such numbers, from 0 (those of a
            ``ClassLabel`` of Hugging Face), they become the names.
        vocabulary: The words in the order of their ids, or the path of a JSON list of them, for captions,
            texts and questions alike or by field; None: the words of the training items.
        max_tokens: The length of captions, ``<eos>`` included; None: that of the longest, at most 40.
        on_error: ``"raise"``, or ``"skip"``: leave bad items out and count them in ``report``.
        memory_gb: The gigabytes of decoded files to keep in memory; above, they are kept in mapped files.
        cache: The folder for such files; None: ``mm-envs`` in the cache directory of the user.

    Attributes:
        report: What was left out and why.
        locations: Where each item is defined: ``"metadata.csv, line 7"``.

    Raises:
        ValueError: The folder or an argument is invalid; the sentence names file, line and cure.

    Example:
        >>> import tempfile
        >>> from PIL import Image as Picture
        >>> with tempfile.TemporaryDirectory() as path:
        ...     for number, colour in enumerate(["red", "green", "blue"] * 3):
        ...         Picture.new("RGB", (40, 40 + number), colour).save(f"{path}/{number}.png")
        ...     rows = [f"{number}.png,{number % 3}" for number in range(9)]
        ...     _ = Path(path, "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
        ...     folder = Folder(path)
        >>> folder.classes["label"], folder.spaces["image"].shape, len(folder.locations)
        (('0', '1', '2'), (3, 64, 64), 9)
    """

    name = "folder"

    def __init__(
        self,
        path: str | Path | Source,
        layout: str = "auto",
        size: int | Sequence[int] = 64,
        channels: int = 3,
        fit: str = "pad",
        sample_rate: int | None = None,
        seconds: float | None = None,
        frames: int = 8,
        split_by: SplitBy = "auto",
        group: str | None = None,
        columns: Mapped | None = None,
        classes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        vocabulary: Pinned | Mapping[str, Pinned] | None = None,
        max_tokens: int | None = None,
        on_error: str = "raise",
        memory_gb: float = 2.0,
        cache: str | Path | None = None,
    ) -> None:
        refuse_wrong_kinds(
            {
                "path": path, "layout": layout, "channels": channels, "seconds": seconds,
                "split_by": split_by, "group": group, "columns": columns, "classes": classes,
                "memory_gb": memory_gb, "cache": cache,
            }
        )  # fmt: skip
        faults = Faults(on_error)
        source = path if isinstance(path, Source) else _source(Path(path), layout, on_error, columns)
        for sentence in source.skipped:
            faults.count("line", sentence)
        self.root, self.layout = source.root, source.layout
        group = source.group if group is None else group
        items = items_of(source.records, source.root, split_by, group, columns, faults)
        pinned = pinned_classes(classes, items)
        items = drop_unknown_classes(named_labels(items, pinned), pinned, faults)
        forms, items = forms_of(items, sides(size), channels, fit, sample_rate, seconds, frames, faults)
        spaces = _media_spaces(forms)  # refuses invalid shapes before anything is decoded
        # Kept as long as the folder, so that another folder of the same files shares it.
        self._store = decoded(
            [item.record for item in items],
            [item.digests for item in items],
            forms,
            memory_gb,
            None if cache is None else Path(cache),
            lambda row, sentence: faults.add("media", sentence),
        )
        bad = set(self._store.bad)
        items = [item for row, item in enumerate(items) if row not in bad]
        self.splits = _ranges(items, source.root)
        if self._store.path is None:  # mapped files would be read twice
            faults.notes += notes_on_copies(items, self._store.fields)
        self.locations = tuple(item.record.location for item in items)
        words = Words(items, vocabulary, max_tokens, faults)
        self.spaces = self._set_fields(items, Classes(items, pinned), words, spaces)
        self._grader: FactGrader | ReferenceGrader | None = None  # its tables are shared by all tasks
        self.report = faults.report(len(items))
        self._digest = self._fingerprint(items, forms)

    def _set_fields(
        self, items: Sequence[Item], classes: Classes, words: Words, media: Mapping[str, UniformBox]
    ) -> dict[str, UniformBox]:
        """Sets the tables of all fields; returns the spaces of those that can be observed."""
        self.classes, self.vocabularies = classes.names, words.vocabularies
        self.max_tokens, self._facts = words.max_tokens, words.facts
        self._tables: dict[str, Tensor] = {**self._store.fields, **classes.tables, **words.tables}
        self._tables["item"] = torch.arange(len(items))
        shown = {**media}
        for name in ("text", "question"):
            if name in words.tables:
                shown[name] = Tokens(words.tables[name].shape[1], words.vocabularies[name])
        spaces = {**shown}
        for name, space in shown.items():
            if f"{name}_length" in self._tables:
                spaces[f"{name}_length"] = Count(space.shape[0])
            there = torch.tensor([name in one.record.media or name in one.record.values for one in items])
            if not bool(there.all()):
                spaces[f"{name}_present"] = Count(1)
                self._tables[f"{name}_present"] = there.to(torch.int64)[:, None]
        return spaces

    def batch(self, indices: Tensor, fields: Collection[str]) -> dict[str, Tensor]:
        """Returns some fields of some items; raises ValueError if there is no such field."""
        for field in fields:
            if field not in self._tables:
                raise ValueError(one_of("field", field, sorted(self._tables)))
        rows = indices.cpu()
        return {field: self._tables[field].index_select(0, rows).to(indices.device) for field in fields}

    def stored(self, field: str) -> Tensor | None:
        """Returns the whole table of a field, on the CPU: decoded files are in memory once."""
        return self._tables.get(field)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of names, contents and values of all items, wherever the folder is."""
        return self._digest

    def _fingerprint(self, items: Sequence[Item], forms: Mapping[str, Form]) -> str:
        config = {
            "forms": {name: repr(form) for name, form in forms.items()},
            "splits": {name: [split.start, split.stop] for name, split in self.splits.items()},
            "classes": self.classes,
            "words": {name: words.digest for name, words in self.vocabularies.items()},
            "lengths": {name: list(table.shape[1:]) for name, table in self._tables.items()},
            "facts": self._facts,
        }
        digest = sha256(f"folder 0 {json.dumps(config, sort_keys=True)}".encode())
        for item in items:
            digest.update(item.digest.encode())
        return digest.hexdigest()

    def captions(self) -> Captions | None:
        """Returns the captions; their utility is by facts if there are any, else by the references."""
        words = self.vocabularies.get("caption")
        if words is None:
            return None
        if self._grader is None:
            if self._facts:
                self._grader = FactGrader(self._facts, words)
            else:
                training = len(self.splits["train"])
                self._grader = ReferenceGrader(self._tables["captions"], training, len(words))
        shown = tuple(name for name in ("image", "video", "audio") if name in self.spaces)
        return Captions(words, self.max_tokens, self._grader, dict.fromkeys(self._grader.parts, shown))


def _source(path: Path, layout: str, on_error: str, columns: Mapped | None) -> Source:
    if not path.is_dir():
        raise ValueError(f"path={str(path)!r} is no folder: give the one that holds metadata.csv or .jsonl")
    return read_source(path, layout, on_error, columns)


def _ranges(items: Sequence[Item], root: Path) -> dict[str, range]:
    counts = Counter(item.split for item in items)
    ends = list(accumulate((counts[name] for name in SPLITS), initial=0))
    if not counts["train"]:
        raise ValueError(f"{root}: no training item is left: correct what the report names")
    return {name: range(*ends[i : i + 2]) for i, name in enumerate(SPLITS)}


def _media_spaces(forms: Mapping[str, Form]) -> dict[str, UniformBox]:
    spaces: dict[str, UniformBox] = {}
    for name, form in forms.items():
        if form.kind == "audio":
            spaces[name] = Audio(form.shape[0], form.sample_rate)
        else:
            *frames, channels, height, width = form.shape
            size = (height, width, channels)
            spaces[name] = Video(frames[0], *size) if frames else Image(*size)
    return spaces
