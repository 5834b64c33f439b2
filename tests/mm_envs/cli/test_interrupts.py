"""Interrupts while a person labels are raised where nothing can lose them."""

from __future__ import annotations

import signal
import threading

import pytest

from mm_envs.cli.interrupts import deferred_interrupts


def test_an_interrupt_waits_for_the_next_key() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupts() as interruptible:
        assert interruptible(lambda: "1") == "1"
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruptible(lambda: "2")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_ends_a_wait_and_a_second_one_ends_anything() -> None:
    with deferred_interrupts() as interruptible:
        with pytest.raises(KeyboardInterrupt):
            interruptible(lambda: signal.raise_signal(signal.SIGINT))
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_other_threads_have_no_signals() -> None:
    found: list[str] = []

    def label() -> None:
        with deferred_interrupts() as interruptible:
            found.append(interruptible(lambda: "1"))

    thread = threading.Thread(target=label)
    thread.start()
    thread.join()
    assert found == ["1"]
