"""What an interrupt does while a training runs, or while a person labels."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_T = TypeVar("_T")


@contextmanager
def stopped_by_interrupts(stop: Callable[[], None], message: str) -> Iterator[None]:
    """While it lasts, the first interrupt (Ctrl-C, or SIGTERM) asks for an end, the second one ends at once.

    Signals reach the main thread only; in another one nothing is changed.

    Args:
        stop: Asks for the end.
        message: Written to standard error then.

    Raises:
        KeyboardInterrupt: At the second interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        stop()
        # Printing could wait for a lock that the interrupted code holds.
        os.write(2, f"\n{message}\n".encode())

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[Callable[[], _T]], _T]]:
    """While it lasts, Ctrl-C ends the running call of the yielded function, or else its next one.

    Elsewhere a KeyboardInterrupt could be lost: Python ignores exceptions of weak reference callbacks, which
    SQLAlchemy uses. A second Ctrl-C is raised at once. Signals reach the main thread only; in another one
    nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda wait: wait()
        return
    asked, waiting = False, False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or waiting:
            raise KeyboardInterrupt
        asked = True

    def interruptible(wait: Callable[[], _T]) -> _T:
        nonlocal waiting
        waiting = True
        try:
            if asked:
                raise KeyboardInterrupt
            return wait()
        finally:
            waiting = False

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interruptible
    finally:
        signal.signal(signal.SIGINT, before)
