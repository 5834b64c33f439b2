"""Records and items as JSON values, and the digests that name them: the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from feedback.preferences.items import Item
from feedback.preferences.records import KINDS, Critique, Record
from mm_envs.names import one_of

_DIGITS = 32
_FORMS: dict[str, type[Record] | type[Item]] = {**KINDS, Item.kind: Item}


def to_json(record: Record | Item) -> dict[str, Any]:
    """A record or an item as a JSON object, its kind first.

    Example:
        >>> to_json(Item.of_text("red or blue?"))["kind"]
        'item'
    """
    values = ((name, getattr(record, name)) for name in _names(record.kind))
    return {"kind": record.kind} | {
        name: list(value) if isinstance(value, tuple) else value for name, value in values
    }


def from_json(value: Any) -> Record:
    """The record of a JSON object.

    Raises:
        ValueError: It is none: another kind, a field too many or too few, or a value that does not fit.
    """
    made = form_of(value)
    if isinstance(made, Item):
        raise ValueError(one_of("kind", Item.kind, KINDS))
    return made


def form_of(value: Any) -> Record | Item:
    """The record or item of a JSON object.

    Raises:
        ValueError: It is neither.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.60} is no JSON object")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _FORMS:
        raise ValueError(one_of("kind", kind, _FORMS))
    given = {name: one for name, one in value.items() if name != "kind"}
    for name in given:
        if name not in _names(kind):
            raise ValueError(f"{kind} has no field {name!r:.60}: it has {', '.join(_names(kind))}")
    for name in _needed(kind):
        if name not in given:
            raise ValueError(f"{kind} lacks the field {name!r}")
    form: Any = _FORMS[kind]
    made: Record | Item = form(
        **{name: tuple(one) if isinstance(one, list) else one for name, one in given.items()}
    )
    return made


def query_id(item: str, answers: Sequence[str], sampler: str = "") -> str:
    """The name of a question: what is judged, with which answers, and where they come from.

    Example:
        >>> query_id("mm1:a", ("red", "blue"))
        'bf4ea5c50c53643caf18b71748c520d9'
    """
    return _digest(("query", item, list(answers), sampler))


def record_id(record: Record) -> str:
    """The name of a record: kind, question and annotator; of a critique also the part it speaks of.

    An annotator who is asked the same again gives a record of the same name.
    """
    part = (record.start, record.stop) if isinstance(record, Critique) else ()
    return _digest((record.kind, record.query, record.annotator, *part))


def same(one: Record, other: Record) -> bool:
    """Whether two records say the same.

    When, and how fast, is not compared (somebody may click twice), nor which model chose the query (a newer
    one may choose it again).
    """
    if type(one) is not type(other):
        return False
    return all(getattr(one, name) == getattr(other, name) for name in _names(one.kind) if name not in _ASIDE)


_ASIDE = ("time", "latency", "reward_model")


def _digest(parts: Iterable[Any]) -> str:
    said = json.dumps(list(parts), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()[:_DIGITS]


@cache
def _names(kind: str) -> tuple[str, ...]:
    return tuple(one.name for one in fields(_FORMS[kind]))


@cache
def _needed(kind: str) -> tuple[str, ...]:
    return tuple(one.name for one in fields(_FORMS[kind]) if one.default is MISSING)
