"""Labels of annotators, one record each: the form in which feedback is stored and exchanged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

from feedback.preferences.checks import item_id, member, number, permutation, text, texts
from feedback.preferences.query import digest_of

CHOICES = ("first", "second", "tie", "skip")
VERDICTS = ("good", "bad")
# What two records of the same meaning may differ in: a label may be sent twice, a newer model choose a query.
_ASIDE = ("time", "latency", "reward_model")
_ID = re.compile("[0-9a-f]{32}")
_R = TypeVar("_R", bound="Record")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Fields that all kinds of feedback share. Subclasses add the label itself.

    A record with ``supersedes`` is a revision: it counts instead of the earlier record, which stays stored.

    Attributes:
        query: The id of the query; with the annotator it names the record.
        item: A ticket (``mm1:...``) or ``sha256:`` and the digest of a content.
        annotator: The name of the annotator.
        answers: The answers that the label is on, as words.
        displayed: The order in which they were shown: ``answers[displayed[0]]`` first. Empty: as they are.
        sampler: Where the answers come from, as ``Sampler.name``.
        latency: Seconds until the annotator answered; None if they were not measured.
        time: When, in seconds since 1970 (UTC).
        reward_model: The version of the reward model that chose the query; empty if none did.
        supersedes: The id of the earlier record of this annotator on this query that this one replaces.
        withdrawn: Whether the revision takes the label back without giving another one.
    """

    kind: ClassVar[str]
    counts: ClassVar[tuple[int, int | None]] = (1, 1)
    """How many answers the annotator judged: at least, and at most (None: any number)."""

    query: str
    item: str
    annotator: str
    answers: tuple[str, ...]
    displayed: tuple[int, ...] = ()
    sampler: str = ""
    latency: float | None = None
    time: float = 0.0
    reward_model: str = ""
    supersedes: str = ""
    withdrawn: bool = False

    def __post_init__(self) -> None:
        try:
            self._check_common()
            self._check()
        except ValueError as error:
            raise ValueError(f"{self.kind} record: {error}") from None

    @property
    def part(self) -> tuple[int, ...]:
        """The part of the answer that the label is about, where one answer has several labels."""
        return ()

    @property
    def label(self) -> str:
        """Names what is labelled by whom: kind, query, annotator and part. Revisions share it."""
        return digest_of((self.kind, self.query, self.annotator, *self.part))

    @property
    def id(self) -> str:
        """The label; of a revision also what it supersedes and says, so that two revisions never collide."""
        if not self.supersedes:
            return self.label
        content = [getattr(self, one.name) for one in fields(self) if one.name not in _ASIDE]
        return digest_of((self.label, *content))

    def covers(self, other: Record) -> bool:
        """Whether two records say the same, whenever and however fast they were given."""
        if type(self) is not type(other):
            return False
        names = (one.name for one in fields(self) if one.name not in _ASIDE)
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def revised(self: _R, **changes: Any) -> _R:
        """A revision by the same annotator with a new label and time; ``withdrawn=True`` takes it back.

        Example:
            >>> old = Approval(query="q", item="mm1:a", annotator="ann", answers=("red",), approved=True)
            >>> [one.approved for one in in_force([old, old.revised(approved=False)])]
            [False]
            >>> in_force([old, old.revised(withdrawn=True)])
            []
        """
        return replace(self, **{"supersedes": self.id, "withdrawn": False, **changes})

    def _check_common(self) -> None:
        text("query", self.query, least=1)
        item_id("item", self.item)
        text("annotator", self.annotator, least=1)
        least, most = self.counts
        texts("answers", self.answers)
        if len(self.answers) < least or (most is not None and len(self.answers) > most):
            wanted = f"{least}" if most == least else f"at least {least}"
            raise ValueError(f"answers has {len(self.answers)} texts: give {wanted}")
        if self.displayed != ():
            permutation("displayed", self.displayed, len(self.answers))
        text("sampler", self.sampler)
        if self.latency is not None:
            number("latency", self.latency)
        number("time", self.time)
        text("reward_model", self.reward_model)
        text("supersedes", self.supersedes)
        if self.supersedes and not _ID.fullmatch(self.supersedes):
            raise ValueError(f"supersedes={self.supersedes!r:.60} is no id of a record")
        if not isinstance(self.withdrawn, bool) or (self.withdrawn and not self.supersedes):
            raise ValueError(f"withdrawn={self.withdrawn!r:.60} is not false, and nothing is superseded")

    def _check(self) -> None:
        """Refuses what a kind of its own does not allow."""


@dataclass(frozen=True, kw_only=True)
class Pairwise(Record):
    """The better of two answers: ``choice`` is "first" or "second" of ``answers``, "tie", or "skip"."""

    kind: ClassVar[str] = "pairwise"
    counts: ClassVar[tuple[int, int | None]] = (2, 2)

    choice: str

    def _check(self) -> None:
        member("choice", self.choice, CHOICES)


@dataclass(frozen=True, kw_only=True)
class Ranking(Record):
    """All answers in order: ``order`` is a permutation of their positions, best first."""

    kind: ClassVar[str] = "ranking"
    counts: ClassVar[tuple[int, int | None]] = (2, None)

    order: tuple[int, ...]

    def _check(self) -> None:
        permutation("order", self.order, len(self.answers))


@dataclass(frozen=True, kw_only=True)
class Rating(Record):
    """One answer on a scale from ``low`` (the worst) to ``high`` (the best)."""

    kind: ClassVar[str] = "rating"

    rating: float
    low: float = 1.0
    high: float = 5.0

    def _check(self) -> None:
        number("low", self.low, least=None)
        number("high", self.high, least=None)
        number("rating", self.rating, least=None)
        if not self.low < self.high:
            raise ValueError(f"low={self.low!r} is not below high={self.high!r}")
        number("high - low", self.high - self.low)
        if not self.low <= self.rating <= self.high:
            raise ValueError(f"rating={self.rating!r} is not within {self.low!r} to {self.high!r}")


@dataclass(frozen=True, kw_only=True)
class Approval(Record):
    """Whether one answer is good enough."""

    kind: ClassVar[str] = "approval"

    approved: bool

    def _check(self) -> None:
        if not isinstance(self.approved, bool):
            raise ValueError(f"approved={self.approved!r:.60} is not true or false")


@dataclass(frozen=True, kw_only=True)
class Correction(Record):
    """One answer, and the answer as it should be, as words."""

    kind: ClassVar[str] = "correction"

    corrected: str

    def _check(self) -> None:
        text("corrected", self.corrected)


@dataclass(frozen=True, kw_only=True)
class Demonstration(Record):
    """An answer by the annotator, as words; ``answers`` holds alternatives, if there were any."""

    kind: ClassVar[str] = "demonstration"
    counts: ClassVar[tuple[int, int | None]] = (0, None)

    answers: tuple[str, ...] = ()
    demonstration: str

    def _check(self) -> None:
        text("demonstration", self.demonstration)


@dataclass(frozen=True, kw_only=True)
class Critique(Record):
    """A part of one answer, good or bad.

    Attributes:
        start: The first word of the part in the answer.
        stop: The first word behind it.
        verdict: "good" or "bad".
        comment: A remark.
    """

    kind: ClassVar[str] = "critique"

    start: int
    stop: int
    verdict: str
    comment: str = ""

    @property
    def part(self) -> tuple[int, ...]:
        """First word of the part, and the first behind it."""
        return self.start, self.stop

    def _check(self) -> None:
        words = len(self.answers[0].split())
        for name, value in (("start", self.start), ("stop", self.stop)):
            if type(value) is not int:
                raise ValueError(f"{name}={value!r:.60} is not a whole number")
        if not 0 <= self.start < self.stop <= words:
            raise ValueError(
                f"start={self.start} and stop={self.stop} are no part of an answer of {words} words"
            )
        member("verdict", self.verdict, VERDICTS)
        text("comment", self.comment)


KINDS: dict[str, type[Record]] = {
    one.kind: one for one in (Pairwise, Ranking, Rating, Approval, Correction, Demonstration, Critique)
}


def in_force(records: Iterable[_R]) -> list[_R]:
    """The records that count: neither superseded nor withdrawn, one a label, in the order of storage.

    Of two revisions of the same record the later one counts.
    """
    given = list(records)
    superseded = {one.supersedes for one in given if one.supersedes}
    if not superseded:
        return given
    newest: dict[str, _R] = {}
    for one in given:
        before = newest.get(one.label)
        if one.id not in superseded and (one.supersedes or before is None or not before.supersedes):
            newest[one.label] = one
    return [one for one in given if newest.get(one.label) is one and not one.withdrawn]
