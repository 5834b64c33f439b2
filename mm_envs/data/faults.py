"""Items that cannot be used: one clear error, or a count of what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from mm_envs.names import check_one_of

ON_ERROR = ("raise", "skip")
_SHOWN = 5

Item = TypeVar("Item")


@dataclass(frozen=True)
class Report:
    """What was left out of a folder, and why.

    Attributes:
        items: The number of items that are left.
        skipped: The number of items that were left out.
        faults: Kind of fault ("line", "media", "missing", "value", "split") -> number of items.
        sentences: The first few faults, each naming file and line.
        notes: What was changed although nothing was wrong: captions cut, splits balanced.

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
    """Collects faults of items, or raises the first; as a context manager it takes that of one line.

    Args:
        on_error: ``"raise"`` or ``"skip"``; anything else is a ValueError.

    Example:
        >>> faults = Faults("skip")
        >>> with faults:
        ...     raise ValueError("line 7: no number")
        >>> faults.sentences
        ['line 7: no number']
    """

    def __init__(self, on_error: str = "raise") -> None:
        check_one_of("on_error", on_error, ON_ERROR)
        self.skips = on_error == "skip"
        self.counts: Counter[str] = Counter()
        self.sentences: list[str] = []
        self.notes: list[str] = []

    def __enter__(self) -> None:
        """Does nothing: only the end of the block counts."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Counts a ValueError or FileNotFoundError, if faults are skipped."""
        skips = self.skips and isinstance(error, (ValueError, FileNotFoundError))
        if skips:
            self.count("line", str(error))
        return skips

    def add(self, kind: str, sentence: str) -> None:
        """Counts a fault, or raises it as a ValueError if faults are not skipped."""
        if not self.skips:
            raise ValueError(sentence) from None
        self.count(kind, sentence)

    def count(self, kind: str, sentence: str) -> None:
        """Counts a fault that has been skipped."""
        self.counts[kind] += 1
        self.sentences.append(sentence)

    def keep(self, kind: str, items: Iterable[Item], fault: Callable[[Item], str]) -> list[Item]:
        """Returns the items for which ``fault`` returns no sentence; adds the sentences of the others."""
        kept = []
        for item in items:
            if sentence := fault(item):
                self.add(kind, sentence)
            else:
                kept.append(item)
        return kept

    def report(self, items: int) -> Report:
        """Returns the report on a folder with this number of items left."""
        shown = tuple(self.sentences[:_SHOWN])
        return Report(items, sum(self.counts.values()), dict(self.counts), shown, tuple(self.notes))
