"""Records, items and queries as JSON values."""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import cache
from typing import Any, TypeAlias

from feedback.preferences.items import Item
from feedback.preferences.query import Query
from feedback.preferences.records import KINDS, Record
from mm_envs.names import one_of

Form: TypeAlias = Record | Item | Query
_FORMS: dict[str, type[Form]] = {**KINDS, Item.kind: Item, Query.kind: Query}
_OF_REVISIONS = ("supersedes", "withdrawn")


def to_json(form: Form) -> dict[str, Any]:
    """A record, an item or a query as a JSON object, its kind first; fields of revisions only where set.

    Example:
        >>> to_json(Item.of_text("red or blue?"))["kind"]
        'item'
    """
    values = ((name, getattr(form, name)) for name in _names(form.kind))
    return {"kind": form.kind} | {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values
        if value or name not in _OF_REVISIONS
    }


def from_json(value: Any) -> Record:
    """The record of a JSON object."""
    made = form_of(value)
    if not isinstance(made, Record):
        raise ValueError(one_of("kind", made.kind, KINDS))
    return made


def form_of(value: Any) -> Form:
    """The record, item or query of a JSON object."""
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
    made: Form = form(**{name: tuple(one) if isinstance(one, list) else one for name, one in given.items()})
    return made


@cache
def _names(kind: str) -> tuple[str, ...]:
    return tuple(one.name for one in fields(_FORMS[kind]))


@cache
def _needed(kind: str) -> tuple[str, ...]:
    return tuple(one.name for one in fields(_FORMS[kind]) if one.default is MISSING)
