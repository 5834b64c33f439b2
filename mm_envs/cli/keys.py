"""One key at a time from a person at a terminal, or from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mm_envs.cli.interrupts import deferred_interrupts

# Ctrl-C, Ctrl-D and the end of a pipe.
INTERRUPT, END = "\x03", ("\x04", "")


@contextmanager
def single_keys() -> Iterator[Callable[[], str]]:
    """Gives a function that waits for one key and returns its character, without Enter.

    Where standard input is no terminal, characters are read from it and line breaks are passed over. The
    function returns an empty text when there is no more input, and raises KeyboardInterrupt for Ctrl-C, also
    for one that came since the key before.
    """
    with deferred_interrupts() as interruptible:
        if not sys.stdin.isatty():
            yield lambda: interruptible(_from_pipe)
        elif sys.platform == "win32":
            yield lambda: interruptible(_from_windows)
        else:
            import termios
            import tty

            number = sys.stdin.fileno()
            before = termios.tcgetattr(number)
            try:
                tty.setcbreak(number)
                yield lambda: interruptible(_from_terminal)
            finally:
                termios.tcsetattr(number, termios.TCSADRAIN, before)


def _from_pipe() -> str:
    character = sys.stdin.read(1)
    while character in ("\n", "\r"):
        character = sys.stdin.read(1)
    return _checked(character)


def _from_terminal() -> str:
    import os

    # Not through the buffer of sys.stdin: an arrow key sends three characters, of which no one waits for two.
    return _checked(os.read(sys.stdin.fileno(), 8).decode(errors="replace")[:1])


def _from_windows() -> str:
    import msvcrt

    return _checked(msvcrt.getwch())  # type: ignore[attr-defined]


def _checked(character: str) -> str:
    if character == INTERRUPT:
        raise KeyboardInterrupt
    return "" if character in END else character
