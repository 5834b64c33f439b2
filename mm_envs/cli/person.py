"""Questions on a terminal, answered with one key: which of two answers is better."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_envs.cli.output import shown

if TYPE_CHECKING:
    import gymnasium as gym
    from rich.console import Console
    from torch import Tensor

LEFT, RIGHT, TIE, SKIP, UNDO, QUIT = "left", "right", "tie", "skip", "undo", "quit"
KEYS = {"1": LEFT, "a": LEFT, "2": RIGHT, "b": RIGHT, "t": TIE, "=": TIE, "s": SKIP, "u": UNDO}
KEYS |= {"q": QUIT, "": QUIT}
_ECHOES = {LEFT: "1 is better", RIGHT: "2 is better"}
HELP = "1 or a: the first is better, 2 or b: the second, t: neither, s: skip, u: undo, q: quit"
_COLUMNS = 48


@dataclass(frozen=True)
class Question:
    """Two answers to one item, as they are displayed.

    Attributes:
        spaces: The spaces of the context.
        context: What is seen and heard, on the host, without leading dimension.
        left: The answer that is displayed first, as words.
        right: The other one.
        title: Which question it is.
    """

    spaces: Mapping[str, gym.Space[Any]]
    context: Mapping[str, Tensor]
    left: str
    right: str
    title: str


class Person:
    """Shows questions on a console and waits for keys.

    Args:
        out: Where to show them.
        key: Waits for one key, as ``mm_envs.cli.keys.single_keys`` gives it.
        folder: Where pictures and sounds are written for each question; None for pictures in the terminal.
        clock: Seconds, for the time that an answer takes.
    """

    def __init__(
        self,
        out: Console,
        key: Callable[[], str],
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out, self._key, self._folder, self._clock = out, key, folder, clock

    def compare(self, question: Question) -> tuple[str, float]:
        """Shows a question.

        Returns:
            LEFT, RIGHT, TIE, SKIP, UNDO or QUIT, and the seconds until the key was pressed.
        """
        self._show(question)
        begin = self._clock()
        while (choice := KEYS.get(self._key().lower())) is None:
            self._out.print(f"  {HELP}", style="yellow")
        return choice, self._clock() - begin

    def confirm(self, choice: str) -> None:
        """Prints that a label has been stored; not before, as an interrupt may follow."""
        self._out.print(f"  {_ECHOES.get(choice, choice)}", style="dim")

    def _show(self, question: Question) -> None:
        from mm_envs.spaces import Tokens

        self._out.rule(question.title, style="dim")
        self._show_media(question)
        for name, space in question.spaces.items():
            if isinstance(space, Tokens):
                self._out.print(f"  {name}: {shown(space.vocabulary.decode(question.context[name]))}")
        for number, answer in enumerate((question.left, question.right), 1):
            self._out.print(f"  [bold]{number}[/]  {shown(answer) or '(nothing)'}", soft_wrap=True)

    def _show_media(self, question: Question) -> None:
        from mm_envs.engine.pictures import pictures_of
        from mm_envs.spaces import Audio

        seen = list(pictures_of(question.spaces, question.context))
        heard = [name for name, space in question.spaces.items() if isinstance(space, Audio)]
        if self._folder is not None:
            for path in write(question, self._folder, seen, heard):
                self._out.print(f"  [cyan]{shown(path)}[/]", soft_wrap=True)
            return
        for name in seen:
            self._out.print(blocks(question.context[name], min(_COLUMNS, self._out.width)))
        if heard:
            self._out.print("  a sound cannot be heard here: --pictures FOLDER writes it", style="yellow")


def blocks(pixels: Tensor, columns: int) -> Any:
    """A picture (channels, height, width) or a video (frames, ...) side by side, as text for a terminal."""
    from mm_envs.cli.pixels import as_blocks

    return as_blocks(_picture(pixels), columns)


def _picture(pixels: Tensor) -> Any:
    import torch
    from PIL import Image as pillow

    if pixels.ndim == 4:
        pixels = torch.cat(list(pixels), dim=2)
    if len(pixels) == 1:
        pixels = pixels.expand(3, -1, -1)
    return pillow.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def write(question: Question, folder: Path, seen: list[str], heard: list[str]) -> list[Path]:
    """Writes the pictures (PNG, enlarged) and sounds (WAV) of a question: always to the same names.

    They can stay open in a viewer that reloads files.
    """
    from PIL import Image as pillow

    from mm_envs.pages import wav_bytes

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in seen:
        picture = _picture(question.context[name])
        scale = max(1, 384 // picture.height)
        size = picture.width * scale, picture.height * scale
        paths.append(folder / f"{name}.png")
        picture.resize(size, pillow.Resampling.NEAREST).save(paths[-1])
    for name in heard:
        rate = question.spaces[name].sample_rate  # type: ignore[attr-defined]
        paths.append(folder / f"{name}.wav")
        paths[-1].write_bytes(wav_bytes(question.context[name].numpy(), rate))
    return paths
