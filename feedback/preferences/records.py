"""What an annotator said, one record a time: the form in which feedback is stored and exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from feedback.preferences.checks import (
    LONGEST_ANSWERS,
    MOST_ANSWERS,
    item_id,
    member,
    number,
    permutation,
    text,
)

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

    Raises:
        ValueError: A value is not what it should be; the message names kind and field.
    """

    kind: ClassVar[str]
    judged: ClassVar[tuple[int, int | None]] = (1, 1)
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

    def __post_init__(self) -> None:
        try:
            self._check_common()
            self._check()
        except ValueError as error:
            raise ValueError(f"{self.kind} record: {error}") from None

    def _check_common(self) -> None:
        text("query", self.query, least=1)
        item_id("item", self.item)
        text("annotator", self.annotator, least=1)
        least, most = self.judged
        if not isinstance(self.answers, tuple):
            raise ValueError(f"answers is a {type(self.answers).__name__}: give a tuple of texts")
        if len(self.answers) < least or (most is not None and len(self.answers) > most):
            wanted = f"{least}" if most == least else f"at least {least}"
            raise ValueError(f"answers has {len(self.answers)} texts: give {wanted}")
        if len(self.answers) > MOST_ANSWERS:
            raise ValueError(f"answers has {len(self.answers):,} texts: at most {MOST_ANSWERS:,} are stored")
        for answer in self.answers:
            text("answers", answer)
        together = sum(map(len, self.answers))
        if together > LONGEST_ANSWERS:
            raise ValueError(
                f"answers have {together:,} characters together: at most {LONGEST_ANSWERS:,} are stored"
            )
        if self.displayed != ():
            permutation("displayed", self.displayed, len(self.answers))
        text("sampler", self.sampler)
        if self.latency is not None:
            number("latency", self.latency)
        number("time", self.time)
        text("reward_model", self.reward_model)

    def _check(self) -> None:
        """Refuses what a kind of its own does not allow."""


@dataclass(frozen=True, kw_only=True)
class Pairwise(Record):
    """Which of two answers is better.

    Attributes:
        choice: "first" or "second" of ``answers`` (whatever was displayed first), "tie", or "skip".
    """

    kind: ClassVar[str] = "pairwise"
    judged: ClassVar[tuple[int, int | None]] = (2, 2)

    choice: str

    def _check(self) -> None:
        member("choice", self.choice, CHOICES)


@dataclass(frozen=True, kw_only=True)
class Ranking(Record):
    """All answers in order.

    Attributes:
        order: Places in ``answers``, best first; a permutation.
    """

    kind: ClassVar[str] = "ranking"
    judged: ClassVar[tuple[int, int | None]] = (2, None)

    order: tuple[int, ...]

    def _check(self) -> None:
        permutation("order", self.order, len(self.answers))


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
    """One answer, good enough or not.

    Attributes:
        approved: Whether it is.
    """

    kind: ClassVar[str] = "approval"

    approved: bool

    def _check(self) -> None:
        if not isinstance(self.approved, bool):
            raise ValueError(f"approved={self.approved!r:.60} is not true or false")


@dataclass(frozen=True, kw_only=True)
class Correction(Record):
    """One answer, and how it should be.

    Attributes:
        corrected: The answer as it should be, as words.
    """

    kind: ClassVar[str] = "correction"

    corrected: str

    def _check(self) -> None:
        text("corrected", self.corrected)


@dataclass(frozen=True, kw_only=True)
class Demonstration(Record):
    """An answer that the annotator gave; ``answers`` holds what else there was to choose from, if anything.

    Attributes:
        demonstration: The answer, as words.
    """

    kind: ClassVar[str] = "demonstration"
    judged: ClassVar[tuple[int, int | None]] = (0, None)

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
        comment: What the annotator said of it.
    """

    kind: ClassVar[str] = "critique"

    start: int
    stop: int
    verdict: str
    comment: str = ""

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
