"""What to do with an item that cannot be used: one clear error, or a count of what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mm_envs.names import one_of

ON_ERROR = ("raise", "skip")
_SHOWN = 5


@dataclass(frozen=True)
class Report:
    """What became of the items of a folder.

    Attributes:
        items: How many items there are.
        skipped: How many were left out.
        faults: Kind of fault ("line", "media", "missing", "value", "split") -> how many items had it.
        sentences: What was wrong with the first few, each naming file and line.
        notes: What was changed though nothing was wrong: captions cut, splits balanced.

    Example:
        >>> print(Report(3, 1, {"media": 1}, ("metadata.csv, line 2: a.png is cut off",)))
        3 items, 1 left out (media 1)
        metadata.csv, line 2: a.png is cut off
    """

    items: int
    skipped: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        first = f"{self.items} items, {self.skipped} left out" + (f" ({kinds})" if kinds else "")
        more = self.skipped - len(self.sentences)
        rest = [f"and {more} more"] if self.sentences and more > 0 else []
        return "\n".join([first, *self.sentences, *rest, *self.notes])


class Faults:
    """Collects what is wrong with items, or raises at the first.

    Args:
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        ValueError: ``on_error`` is neither.
    """

    def __init__(self, on_error: str = "raise") -> None:
        if on_error not in ON_ERROR:
            raise ValueError(one_of("on_error", on_error, ON_ERROR))
        self.skips = on_error == "skip"
        self.counts: Counter[str] = Counter()
        self.sentences: list[str] = []
        self.notes: list[str] = []

    def add(self, kind: str, sentence: str) -> None:
        """Counts a fault, or raises it.

        Raises:
            ValueError: Faults are not to be skipped.
        """
        if not self.skips:
            raise ValueError(sentence) from None
        self.count(kind, sentence)

    def count(self, kind: str, sentence: str) -> None:
        """Counts a fault that has been skipped."""
        self.counts[kind] += 1
        self.sentences.append(sentence)

    def report(self, items: int) -> Report:
        """The report on a folder of which so many items are left."""
        shown = tuple(self.sentences[:_SHOWN])
        return Report(items, sum(self.counts.values()), dict(self.counts), shown, tuple(self.notes))
