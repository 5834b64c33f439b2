"""Pairs in the layout of preference datasets for language models: prompt, chosen, rejected.

The layout is that of TRL (docs "Dataset formats and types"): prompt, chosen and rejected are texts, or lists
of messages with role and content; the prompt may also be left out and stand at the beginning of both
answers. It knows no ties and nobody who chose, so our own columns stand beside it: item, annotator, sampler.
Which answer was given first is drawn from its digest, since a reader who always met the chosen one first
could learn that alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from feedback.preferences.checks import text
from feedback.preferences.items import Item
from feedback.preferences.jsonl import Imported
from feedback.preferences.lines import read_lines, write_lines
from feedback.preferences.records import Pairwise, Record
from feedback.preferences.serial import query_id

_OURS = ("item", "annotator", "sampler")


def to_trl(record: Pairwise, prompt: str) -> dict[str, Any] | None:
    """One pair as a row; None for a tie, a skip, and two answers that are the same.

    Args:
        record: The pair.
        prompt: What was asked, in words.
    """
    if record.choice not in ("first", "second") or record.answers[0] == record.answers[1]:
        return None
    chosen, rejected = record.answers if record.choice == "first" else record.answers[::-1]
    ours = {name: getattr(record, name) for name in _OURS}
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **ours}


def write_trl(path: str | Path, records: Iterable[Record], prompts: Mapping[str, str]) -> tuple[int, int]:
    """Writes the pairs among records as JSON Lines.

    Args:
        path: The file; one that is there is replaced.
        records: Of any kinds.
        prompts: What was asked about each item, in words.

    Returns:
        How many rows were written, and how many records left out: ties, skips and other kinds.

    Raises:
        ValueError: There is no prompt for an item.
    """
    rows, left_out = [], 0
    for record in records:
        if record.item not in prompts:
            raise ValueError(f"record {record.query} speaks of {record.item}: there is no prompt for it")
        row = to_trl(record, prompts[record.item]) if isinstance(record, Pairwise) else None
        left_out += row is None
        rows += [] if row is None else [row]
    return write_lines(path, rows), left_out


def read_trl(path: str | Path, annotator: str = "trl", on_error: str = "raise") -> Imported:
    """Reads pairs from a file of JSON Lines.

    Args:
        path: The file.
        annotator: Who chose, where a row does not say it.
        on_error: "raise" refuses a file with a row that is wrong; "skip" leaves such rows out and says so.

    Returns:
        The pairs, and an item for each prompt that is no item of an environment.

    Raises:
        ValueError: A row is wrong; file and line are named.
        OSError: The file cannot be read.
    """
    items: dict[str, Item] = {}
    records: list[Record] = []

    def take(number: int, value: Any) -> None:
        item, record = from_trl(value, annotator)
        items.setdefault(item.id, item)
        records.append(record)

    skipped = read_lines(path, take, on_error)
    return Imported(None, tuple(items.values()), tuple(records), skipped)


def from_trl(row: Any, annotator: str = "trl") -> tuple[Item, Pairwise]:
    """The item and the pair of one row.

    Raises:
        ValueError: A column is missing or is no text and no list of messages.

    Example:
        >>> item, pair = from_trl({"prompt": "1 + 1?", "chosen": "2", "rejected": "3"})
        >>> item.text, pair.answers[("first", "second").index(pair.choice)]
        ('1 + 1?', '2')
    """
    if not isinstance(row, dict):
        raise ValueError(f"{row!r:.60} is no JSON object")
    for name in ("chosen", "rejected"):
        if name not in row:
            raise ValueError(f"there is no column {name!r}")
    prompt, chosen, rejected = _parted(row.get("prompt"), row["chosen"], row["rejected"])
    for name in _OURS:
        text(name, row.get(name, ""))
    named = row.get("item", "")
    item = _item(named, prompt)
    if chosen == rejected:
        raise ValueError(f"chosen and rejected are both {chosen!r:.60}")
    low, high = sorted((chosen, rejected))
    swapped = hashlib.sha256(f"{prompt}\n{low}\n{high}".encode()).digest()[0] % 2 == 1
    answers = (high, low) if swapped else (low, high)
    record = Pairwise(
        query=query_id(item.id, answers, row.get("sampler", "")),
        item=item.id,
        annotator=row.get("annotator", "") or annotator,
        answers=answers,
        sampler=row.get("sampler", ""),
        choice="first" if answers[0] == chosen else "second",
    )
    return item, record


def _item(named: str, prompt: str) -> Item:
    if named.startswith("mm1:"):
        return Item.of_ticket(named, text=prompt)
    return Item(id=named, text=prompt) if named else Item.of_text(prompt)


def _parted(prompt: Any, chosen: Any, rejected: Any) -> tuple[str, str, str]:
    """Prompt and answers as texts; a prompt that is left out is what both answers begin with."""
    if prompt is None:
        if isinstance(chosen, str) and isinstance(rejected, str):
            begin = _whole_words(chosen, rejected)
            return chosen[:begin].rstrip(), chosen[begin:], rejected[begin:]
        both = _messages("chosen", chosen), _messages("rejected", rejected)
        begin = _shared(*both)
        if begin == min(map(len, both)):
            raise ValueError("chosen and rejected do not differ in a message")
        return _joined(both[0][:begin]), _joined(both[0][begin:]), _joined(both[1][begin:])
    return _said("prompt", prompt), _said("chosen", chosen), _said("rejected", rejected)


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How long the part is with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _whole_words(one: str, other: str) -> int:
    """How many letters of two texts are the same words at their beginning."""
    same = _shared(one, other)
    while same and not one[same - 1].isspace():
        same -= 1
    return same


def _said(name: str, value: Any) -> str:
    """The text of a text, or of messages: their contents, one a line."""
    if isinstance(value, str):
        return value
    return _joined(_messages(name, value))


def _joined(messages: Sequence[tuple[str, str]]) -> str:
    return "\n".join(content for _, content in messages)


def _messages(name: str, value: Any) -> Sequence[tuple[str, str]]:
    if not isinstance(value, list):
        raise ValueError(f"{name}={value!r:.60} is neither a text nor a list of messages")
    found = []
    for one in value:
        content = one.get("content") if isinstance(one, dict) else None
        if isinstance(content, list):  # parts: texts, and places of pictures
            parts = [
                part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
            ]
            content = " ".join(part for part in parts if isinstance(part, str))
        if not isinstance(content, str):
            raise ValueError(f"{name} holds {one!r:.60}, which is no message with role and content")
        found.append((str(one.get("role")), content))
    return found
