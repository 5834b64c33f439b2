"""The plain values of items as tables: classes, words, captions and facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from mm_envs.data.folder.columns import composed
from mm_envs.data.folder.faults import Faults
from mm_envs.data.folder.items import Item
from mm_envs.data.folder.texts import Pinned, pinned_for, token_table, vocabulary_of, words_of
from mm_envs.names import at_least, whole
from mm_envs.tokenizers import Vocabulary, sizes

CLASS_FIELDS = ("label", "answer")
LONGEST_TEXT = 64
LONGEST_CAPTION = 40
_ONE_KIND = "question"
_MOST_BYTES = 4 * 10**9  # of one table of words or facts, which is always in memory


def pinned_classes(
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None, items: Iterable[Item]
) -> dict[str, tuple[str, ...]]:
    """The names that are given, by field; without a field they are of labels, else of answers.

    Raises:
        ValueError: A name stands twice, or a field has no classes.
    """
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
    """The items with names for labels, where all labels are numbers of the classes that are given.

    A table that was saved from a set of Hugging Face holds the numbers of a ``ClassLabel``, from 0. Labels
    stay as they are where one of them is the name of a class, or no number of one.
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
    """The items whose classes are among those that are given."""
    made = []
    for item in items:
        values = item.record.values
        wrong = [field for field, names in pinned.items() if field in values and values[field] not in names]
        if wrong:
            field = wrong[0]
            faults.add(
                "value",
                f"{item.record.place}: {field}={values[field]!r} is not one of the classes "
                f"{_some(pinned[field])}: correct it, or add it to classes",
            )
        else:
            made.append(item)
    return made


def _some(names: Sequence[str], shown: int = 12) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


class Classes:
    """Labels, answers and kinds of questions as numbers.

    Args:
        items: The items.
        pinned: The names that are given, by field.

    Attributes:
        names: The names of each field in the order of their numbers.
        tables: (n,) int64 for each field.
    """

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
    """Whole numbers by their value and before all others."""
    number = name.isascii() and name.isdigit() and len(name) < 19
    return (not number, int(name) if number else 0, name)


class Words:
    """Texts, questions, captions and facts in token ids.

    Args:
        items: The items, training items first.
        vocabulary: The words that are given.
        max_tokens: The length of captions.
        faults: Where cut captions are noted.

    Attributes:
        vocabularies: By field ("text", "question", "caption").
        tables: ``text`` and ``question`` (n, length) with their ``_length`` (n, 1); ``captions``
            (n, references, max_tokens), int64; ``facts`` (n, all facts) bool.
        facts: All facts, each as its words.
        max_tokens: The length of captions; 0 where there are none.
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
        length = min(longest, LONGEST_TEXT)
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
            said = [(tuple(word for fact in row for word in fact),) for row in facts]
            captions = captions if any(captions) else said
        longest = max(len(words) for row in captions for words in row) + 1
        self.max_tokens = min(longest, LONGEST_CAPTION) if max_tokens is None else max_tokens
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

    def _note_cut(self, field: str, lengths: Sequence[int], most: int) -> None:
        cut = sum(length > most for length in lengths)
        if cut:
            self._faults.notes.append(f"{cut} of {len(lengths)} {field}s are cut to {most} words")


def _fits(name: str, shape: tuple[int, ...], itemsize: int) -> None:
    """Refuses a table before it fills the memory."""
    size = prod(shape) * itemsize
    if size > _MOST_BYTES:
        raise ValueError(
            f"{name} of {' x '.join(map(str, shape))} entries take {size / 1e9:.1f} GB, more than "
            f"{_MOST_BYTES / 1e9:.0f}: give the items fewer of them, or use fewer items"
        )


def _phrases(item: Item, field: str) -> list[tuple[str, ...]]:
    """The words of each caption or fact of an item; those without a word left out."""
    found = (tuple(words_of(text)) for text in item.record.values.get(field, ()))
    return [words for words in found if words]
