"""Queries, and the digests that name queries and records on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from feedback.preferences.checks import item_id, text, texts

_DIGITS = 32


@dataclass(frozen=True, kw_only=True)
class Query:
    """A question: answers to an item, and the kind of feedback that is wanted on them.

    Attributes:
        item: A ticket (``mm1:...``) or ``sha256:`` and the digest of a content.
        answers: The answers to compare, as words.
        sampler: Where the answers come from, as ``Sampler.name``.
        asks: The kind of record that answers it, a key of ``KINDS``.
        reward_model: The version of the reward model that chose the query; empty if none did.

    Example:
        >>> Query(item="mm1:a", answers=("red", "blue")).id
        'bf4ea5c50c53643caf18b71748c520d9'
    """

    kind: ClassVar[str] = "query"

    item: str
    answers: tuple[str, ...]
    sampler: str = ""
    asks: str = "pairwise"
    reward_model: str = ""

    def __post_init__(self) -> None:
        try:
            item_id("item", self.item)
            texts("answers", self.answers)
            for name in ("sampler", "asks", "reward_model"):
                text(name, getattr(self, name))
        except ValueError as error:
            raise ValueError(f"query: {error}") from None

    @property
    def id(self) -> str:
        """Names what is asked: item, answers, sampler, and the kind of feedback unless it is pairwise."""
        kind = () if self.asks == "pairwise" else (self.asks,)
        return digest_of(("query", self.item, list(self.answers), self.sampler, *kind))

    def covers(self, other: Query) -> bool:
        """Whether another query asks the same; the model that chose it is not compared."""
        return self.id == other.id


def query_id(item: str, answers: Sequence[str], sampler: str = "") -> str:
    """The id of a pairwise query, as ``Query.id``."""
    return digest_of(("query", item, list(answers), sampler))


def digest_of(parts: Iterable[Any]) -> str:
    """The first 32 hexadecimal digits of the SHA-256 digest of JSON values."""
    content = json.dumps(list(parts), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]
