"""The plain values of items as tables: classes, words, captions and facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from mm_envs.data.faults import Faults
from mm_envs.data.folder.items import Item
from mm_envs.data.folder.texts import Pinned, pinned_for, token_table, vocabulary_of, words_of
from mm_envs.data.layouts.columns import composed
from mm_envs.names import at_least, whole
from mm_envs.tokenizers import Vocabulary, sizes

CLASS_FIELDS = ("label", "answer")
MAX_TEXT = 64
MAX_CAPTION = 40
_ONE_KIND = "question"
_MAX_BYTES = 4 * 10**9  # of one table of words or facts, which is always in memory


def pinned_classes(
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None, items: Iterable[Item]
) -> dict[str, tuple[str, ...]]:
    """Returns the given class names by field; names without a field are those of labels, else of answers."""
    if classes is None:
        return {}
    if not isinstance(classes, Mapping):
        field = "label" if any("label" in item.record.values for item in items) else "answer"
        classes = {field: classes}
    made = {}
    for field, names in classes.items():
        listed = tuple(composed(str(name)) for name in names)
        if field not in CLASS_FIELDS:
            raise ValueError(f"classes are given for {field!r}: there are some of {', '.join(CLASS_FIELDS)}")
        if isinstance(names, str) or len(set(listed)) != len(listed) or not listed:
            raise ValueError(f"classes={names!r} of {field} is no list of different names")
        made[field] = listed
    return made


def named_labels(items: Sequence[Item], pinned: Mapping[str, tuple[str, ...]]) -> list[Item]:
    """Returns the items with labels by name, if all labels are numbers of the given classes, from 0.

    Labels stay as they are if one of them is the name of a class, or not the number of one.
    """
    names = pinned.get("label", ())
    number = {str(i): name for i, name in enumerate(names)}
    labels = {item.record.values["label"] for item in items if "label" in item.record.values}
    if not labels or not labels <= number.keys() or labels & set(names):
        return list(items)
    return [_with_label(item, number) if "label" in item.record.values else item for item in items]


def _with_label(item: Item, number: Mapping[str, str]) -> Item:
    values = {**item.record.values, "label": number[item.record.values["label"]]}
    return replace(item, record=replace(item.record, values=values))


def drop_unknown_classes(
    items: Iterable[Item], pinned: Mapping[str, tuple[str, ...]], faults: Faults
) -> list[Item]:
    """Returns the items whose classes are among the given ones."""

    def fault(item: Item) -> str:
        values = item.record.values
        for field, names in pinned.items():
            if field in values and values[field] not in names:
                return (
                    f"{item.record.location}: {field}={values[field]!r} is not one of the classes "
                    f"{_some(names)}: correct it, or add it to classes"
                )
        return ""

    return faults.keep("value", items, fault)


def _some(names: Sequence[str], shown: int = 12) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


class Classes:
    """Labels, answers and kinds of questions as numbers: ``names`` and (n,) int64 ``tables`` by field."""

    def __init__(self, items: Sequence[Item], pinned: Mapping[str, tuple[str, ...]]) -> None:
        values = {field: [item.record.values.get(field) for item in items] for field in CLASS_FIELDS}
        if any(values["answer"]):
            values["kind"] = [item.record.values.get("kind", _ONE_KIND) for item in items]
        self.names: dict[str, tuple[str, ...]] = {}
        self.tables: dict[str, Tensor] = {}
        for field, found in values.items():
            if not any(found):
                continue
            names = pinned.get(field) or tuple(sorted({str(name) for name in found}, key=_natural))
            number = {name: i for i, name in enumerate(names)}
            self.names[field] = names
            self.tables[field] = torch.tensor([number[str(name)] for name in found], dtype=torch.int64)


def _natural(name: str) -> tuple[bool, int, str]:
    """Sorts whole numbers by value, before all other names."""
    number = name.isascii() and name.isdigit() and len(name) < 19
    return (not number, int(name) if number else 0, name)


class Words:
    """Texts, questions, captions and facts in token ids.

    Attributes:
        vocabularies: By field ("text", "question", "caption").
        tables: ``text`` and ``question`` (n, length) with their ``_length`` (n, 1); ``captions``
            (n, references, max_tokens), int64; ``facts`` (n, all facts) bool.
        facts: All facts, each as its words.
        max_tokens: The length of captions; 0 without captions.
    """

    def __init__(
        self,
        items: Sequence[Item],
        vocabulary: Pinned | Mapping[str, Pinned] | None,
        max_tokens: int | None,
        faults: Faults,
    ) -> None:
        self._training = [item.split == "train" for item in items]
        self._pinned, self._faults = vocabulary, faults
        self.vocabularies: dict[str, Vocabulary] = {}
        self.tables: dict[str, Tensor] = {}
        self.facts: tuple[tuple[str, ...], ...] = ()
        self.max_tokens = 0
        for field in ("text", "question"):
            texts = [words_of(item.record.values.get(field, "")) for item in items]
            if any(texts):
                self._set_text(field, texts)
        facts = [_phrases(item, "facts") for item in items]
        captions = [_phrases(item, "captions") for item in items]
        if any(facts) or any(captions):
            self._set_captions(captions, facts, max_tokens)

    def _set_text(self, field: str, texts: Sequence[Sequence[str]]) -> None:
        longest = max(map(len, texts))
        length = min(longest, MAX_TEXT)
        self._note_cut(field, [len(words) for words in texts], length)
        self.vocabularies[field] = self._vocabulary(field, texts)
        table = token_table(texts, self.vocabularies[field], length, eos=False)
        self.tables |= {field: table, f"{field}_length": sizes(table)[:, None]}

    def _set_captions(
        self,
        captions: Sequence[Sequence[tuple[str, ...]]],
        facts: Sequence[Sequence[tuple[str, ...]]],
        max_tokens: int | None,
    ) -> None:
        if any(facts):
            self.facts = tuple(sorted({fact for row in facts for fact in row}))
            number = {fact: i for i, fact in enumerate(self.facts)}
            _fits("facts", (len(facts), len(self.facts)), 1)
            self.tables["facts"] = torch.zeros((len(facts), len(self.facts)), dtype=torch.bool)
            for row, known in enumerate(facts):
                self.tables["facts"][row, [number[fact] for fact in known]] = True
            if not any(captions):
                captions = [(tuple(word for fact in row for word in fact),) for row in facts]
        longest = max(len(words) for row in captions for words in row) + 1
        self.max_tokens = min(longest, MAX_CAPTION) if max_tokens is None else max_tokens
        whole("max_tokens", self.max_tokens)
        at_least("max_tokens", self.max_tokens, 1, "leave it out for the longest caption and <eos>")
        self._note_cut("caption", [len(words) for row in captions for words in row], self.max_tokens)
        both = [[*row, *known] for row, known in zip(captions, facts, strict=True)]
        self.vocabularies["caption"] = self._vocabulary("caption", both, nested=True)
        references = max(map(len, captions))
        _fits("captions", (len(captions), references, self.max_tokens), 8)
        rows = [words for row in captions for words in [*row, *[()] * (references - len(row))]]
        table = token_table(rows, self.vocabularies["caption"], self.max_tokens, eos=True)
        self.tables["captions"] = table.view(len(captions), references, self.max_tokens)

    def _vocabulary(self, field: str, texts: Sequence[Sequence], nested: bool = False) -> Vocabulary:
        pinned = pinned_for(field, self._pinned)
        if pinned is not None:
            return pinned
        training = [words for words, use in zip(texts, self._training, strict=True) if use]
        return vocabulary_of([words for row in training for words in row] if nested else training)

    def _note_cut(self, field: str, lengths: Sequence[int], limit: int) -> None:
        cut = sum(length > limit for length in lengths)
        if cut:
            self._faults.notes.append(f"{cut} of {len(lengths)} {field}s are cut to {limit} words")


def _fits(name: str, shape: tuple[int, ...], itemsize: int) -> None:
    """Refuses a table that would fill the memory."""
    size = prod(shape) * itemsize
    if size > _MAX_BYTES:
        raise ValueError(
            f"{name} of {' x '.join(map(str, shape))} entries take {size / 1e9:.1f} GB, more than "
            f"{_MAX_BYTES / 1e9:.0f}: give the items fewer of them, or use fewer items"
        )


def _phrases(item: Item, field: str) -> list[tuple[str, ...]]:
    """The words of each caption or fact of an item, without those that have no word."""
    found = (tuple(words_of(text)) for text in item.record.values.get(field, ()))
    return [words for words in found if words]
