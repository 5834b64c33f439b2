"""Pairs in the layout of preference datasets for language models: prompt, chosen, rejected.

The layout is that of TRL (docs "Dataset formats and types"): texts, or lists of messages with role and
content; the prompt may be left out and be the beginning of both answers. It knows no ties and no annotator,
so a column ``record`` holds the whole record, and a file that is read again counts nothing twice. In other
files, which answer is the first is drawn from the digest of both, so that the chosen one is not always the
first. Pictures (columns images and image) are not read, but their names are part of the item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from feedback.preferences.items import Item
from feedback.preferences.jsonl import Imported
from feedback.preferences.lines import line_of, read_lines, write_lines
from feedback.preferences.query import query_id
from feedback.preferences.records import Pairwise, Record, in_force
from feedback.preferences.serial import from_json, to_json

_SHOWN = ("images", "image")


def to_trl(record: Pairwise, prompt: str) -> dict[str, Any] | None:
    """One pair as a row, given the prompt in words; None for a tie, a skip, and equal answers."""
    if record.choice not in ("first", "second") or record.answers[0] == record.answers[1]:
        return None
    chosen, rejected = record.answers if record.choice == "first" else record.answers[::-1]
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, "record": to_json(record)}


def write_trl(path: str | Path, records: Iterable[Record], prompts: Mapping[str, str]) -> tuple[int, int]:
    """Writes the pairs among records as JSON Lines.

    Args:
        path: The file; one that is there is replaced.
        records: Of any kinds; those that were superseded or withdrawn are not written.
        prompts: The text of each item.

    Returns:
        How many rows were written, and how many records left out: ties, skips and other kinds.

    Raises:
        ValueError: There is no prompt for an item.
    """
    rows, left_out = [], 0
    for record in in_force(records):
        row = None
        if isinstance(record, Pairwise):
            if record.item not in prompts:
                raise ValueError(f"record {record.query} speaks of {record.item}: there is no prompt for it")
            row = to_trl(record, prompts[record.item])
        left_out += row is None
        rows += [] if row is None else [row]
    return write_lines(path, rows), left_out


def read_trl(path: str | Path, annotator: str = "trl", on_error: str = "raise") -> Imported:
    """Reads pairs from a file of JSON Lines, with an item for each prompt that has no ticket.

    Args:
        path: The file.
        annotator: The annotator where a row names none.
        on_error: "raise" refuses a file with a wrong row; "skip" leaves such rows out and reports them.

    Raises:
        ValueError: A row is wrong; file and line are named.
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
    """The item and the pair of one row; a ValueError if a column is missing or of another form.

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
    if chosen == rejected:
        raise ValueError(f"chosen and rejected are both {chosen!r:.60}")
    if row.get("record") is not None:
        record = _own(row["record"], chosen, rejected)
        return _item(record.item, prompt), record
    item = _asked(prompt, {name: row[name] for name in _SHOWN if row.get(name)})
    low, high = sorted((chosen, rejected))
    swapped = hashlib.sha256(f"{prompt}\n{low}\n{high}".encode()).digest()[0] % 2 == 1
    answers = (high, low) if swapped else (low, high)
    query, choice = query_id(item.id, answers), "first" if answers[0] == chosen else "second"
    return item, Pairwise(query=query, item=item.id, annotator=annotator, answers=answers, choice=choice)


def _own(value: Any, chosen: str, rejected: str) -> Pairwise:
    """The record in the row of a pair, if both agree."""
    record = from_json(value)
    if not isinstance(record, Pairwise) or record.choice not in ("first", "second"):
        raise ValueError("its record is no pair of which one was chosen")
    if record.answers != ((chosen, rejected) if record.choice == "first" else (rejected, chosen)):
        raise ValueError("its record says something else than chosen and rejected: take the column away")
    return record


def _asked(prompt: str, shown: Mapping[str, Any]) -> Item:
    return (
        replace(Item.of_text(line_of({"prompt": prompt, **shown})), text=prompt)
        if shown
        else Item.of_text(prompt)
    )


def _item(name: str, prompt: str) -> Item:
    return Item.of_ticket(name, text=prompt) if name.startswith("mm1:") else Item(id=name, text=prompt)


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
    return _text("prompt", prompt), _text("chosen", chosen), _text("rejected", rejected)


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How long the part is with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _whole_words(one: str, other: str) -> int:
    """How many letters of two texts are the same words at their beginning."""
    same = _shared(one, other)
    while same and not one[same - 1].isspace():
        same -= 1
    return same


def _text(name: str, value: Any) -> str:
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
