"""Keys and pictures in a terminal: read through a real pseudo-terminal."""

from __future__ import annotations

import io
import os
import sys

import pytest
from PIL import Image

from mm_envs.cli.keys import single_keys
from mm_envs.cli.pixels import as_blocks

CODE = """
import sys
from mm_envs.cli.keys import single_keys
with single_keys() as key:
    print("ready", flush=True)
    while (pressed := key()) and pressed != "q":
        print(f"<{pressed}>", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is not there on Windows")
def test_a_key_counts_without_enter_and_the_terminal_is_left_as_it_was() -> None:
    import pty
    import subprocess
    import termios

    outer, inner = pty.openpty()
    before = termios.tcgetattr(inner)
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=inner, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        for pressed, output in ((b"a", b"<a>"), (b"\x1b[C", b"<\x1b>"), (b"2", b"<2>")):
            os.write(outer, pressed)
            assert program.stdout.readline().strip() == output
        os.write(outer, b"q")
        assert program.wait(10) == 0
    assert termios.tcgetattr(inner) == before
    os.close(outer)
    os.close(inner)


def test_a_pipe_is_read_character_by_character_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n2s\n"))
    with single_keys() as key:
        assert [key() for _ in range(4)] == ["1", "2", "s", ""]


def test_the_interrupt_key_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\x03"))
    with single_keys() as key, pytest.raises(KeyboardInterrupt):
        key()


def test_half_blocks_carry_every_pixel() -> None:
    picture = Image.new("RGB", (3, 4))
    colours = [(x * 80, y * 60, 7) for y in range(4) for x in range(3)]
    picture.putdata(colours)
    text = as_blocks(picture)
    styles = [str(span.style) for span in text.spans]
    shown = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours]
    assert styles == [f"{shown[y * 3 + x]} on {shown[(y + 1) * 3 + x]}" for y in (0, 2) for x in range(3)]


def test_large_and_grey_pictures_fit_the_terminal() -> None:
    lines = as_blocks(Image.new("L", (200, 99), 5), columns=40).plain.split("\n")
    assert {len(line) for line in lines} == {40}
    assert len(lines) == 10
