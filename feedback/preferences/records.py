"""What an annotator said, one record a time: the form in which feedback is stored and exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

CHOICES = ("first", "second", "tie", "skip")
VERDICTS = ("good", "bad")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What every kind of feedback knows. Subclasses add what was said.

    Attributes:
        query: The id of the question that the annotator answered; with the annotator it names the record.
        item: What the answers are about: a ticket (``mm1:...``) or ``sha256:`` and the digest of its content.
        annotator: Who said it.
        answers: The answers that were judged, as words.
        displayed: The order in which they were shown: ``answers[displayed[0]]`` first. Empty: as they are.
        sampler: Where the answers come from, as ``feedback.candidates`` names it.
        latency: Seconds until the annotator answered; None if nobody looked.
        time: When, in seconds since 1970 (UTC).
        reward_model: The version of the reward model that chose the query; empty if none did.
    """

    kind: ClassVar[str]

    query: str
    item: str
    annotator: str
    answers: tuple[str, ...]
    displayed: tuple[int, ...] = ()
    sampler: str = ""
    latency: float | None = None
    time: float = 0.0
    reward_model: str = ""


@dataclass(frozen=True, kw_only=True)
class Pairwise(Record):
    """Which of two answers is better.

    Attributes:
        choice: "first" or "second" of ``answers`` (whatever was displayed first), "tie", or "skip".
    """

    kind: ClassVar[str] = "pairwise"
    choice: str


@dataclass(frozen=True, kw_only=True)
class Ranking(Record):
    """All answers in order.

    Attributes:
        order: Places in ``answers``, best first; a permutation.
    """

    kind: ClassVar[str] = "ranking"
    order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Rating(Record):
    """One answer on a scale.

    Attributes:
        rating: The rating, within ``low`` to ``high``.
        low: The worst rating of the scale.
        high: The best one.
    """

    kind: ClassVar[str] = "rating"
    rating: float
    low: float = 1.0
    high: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Approval(Record):
    """One answer, good enough or not.

    Attributes:
        approved: Whether it is.
    """

    kind: ClassVar[str] = "approval"
    approved: bool


@dataclass(frozen=True, kw_only=True)
class Correction(Record):
    """One answer, and how it should be.

    Attributes:
        corrected: The answer as it should be, as words.
    """

    kind: ClassVar[str] = "correction"
    corrected: str


@dataclass(frozen=True, kw_only=True)
class Demonstration(Record):
    """An answer that the annotator gave; ``answers`` holds what else there was to choose from, if anything.

    Attributes:
        demonstration: The answer, as words.
    """

    kind: ClassVar[str] = "demonstration"
    demonstration: str


@dataclass(frozen=True, kw_only=True)
class Critique(Record):
    """A part of one answer, good or bad.

    Attributes:
        start: The first word of the part in the answer.
        stop: The first word behind it.
        verdict: "good" or "bad".
        comment: What the annotator said of it.
    """

    kind: ClassVar[str] = "critique"
    start: int
    stop: int
    verdict: str
    comment: str = ""


KINDS: dict[str, type[Record]] = {
    one.kind: one for one in (Pairwise, Ranking, Rating, Approval, Correction, Demonstration, Critique)
}
