"""A limit on the memory that several threads use at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Budget:
    """An amount that threads take parts of; a thread waits while too little is left.

    Args:
        size: The whole amount; a larger request gets all of it.

    Example:
        >>> budget = Budget(10)
        >>> with budget.part(20):
        ...     budget.left
        0
        >>> budget.left
        10
    """

    def __init__(self, size: int) -> None:
        self.size = self.left = size
        self._changed = Condition()

    @contextmanager
    def part(self, size: int) -> Iterator[None]:
        """Waits for a part, and gives it back at the end of the block."""
        size = min(size, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self.left >= size)
            self.left -= size
        try:
            yield
        finally:
            with self._changed:
                self.left += size
                self._changed.notify_all()
