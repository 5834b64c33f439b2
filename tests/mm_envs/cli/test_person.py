"""A person at the terminal: what is shown, which keys count, how long it took."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from feedback.collection import draw_prompts
from mm_envs.cli.person import LEFT, QUIT, RIGHT, SKIP, TIE, UNDO, Person, Question


@pytest.fixture(scope="module")
def question() -> Question:
    prompts, tickets = draw_prompts("MMVQA-sound-v0", 1, items=64)
    context = {key: value[0] for key, value in prompts.context.items()}
    return Question(tickets.task.context_spaces, context, "[red]blue", "no", "1 of 3")


def keys(pressed: str) -> Callable[[], str]:
    stream = io.StringIO(pressed)
    return lambda: stream.read(1)


def shown(person: Callable[[Console], Person], question: Question) -> tuple[str, tuple[str, float]]:
    file = io.StringIO()
    message = person(
        Console(file=file, width=100, force_terminal=True, color_system="truecolor", highlight=False)
    ).compare(question)
    return file.getvalue(), message


@pytest.mark.parametrize(
    ("pressed", "message"),
    [*zip("1A2btSuq", (LEFT, LEFT, RIGHT, RIGHT, TIE, SKIP, UNDO, QUIT), strict=True), ("", QUIT)],
)
def test_one_key_is_an_answer(pressed: str, message: str, question: Question) -> None:
    assert Person(Console(file=io.StringIO()), keys(pressed)).compare(question)[0] == message


def test_other_keys_are_explained_and_waited_on_while_the_clock_runs(question: Question) -> None:
    times = iter([3.0, 10.5])
    text, message = shown(lambda out: Person(out, keys("x\x1b1"), clock=lambda: next(times)), question)
    assert message == (LEFT, 7.5)
    assert text.count("1 or a: the first is better") == 2


def test_pictures_are_drawn_and_words_are_shown_as_they_are(question: Question) -> None:
    text, _ = shown(lambda out: Person(out, keys("q")), question)
    assert text.count("▀") > 500
    assert "question:" in text
    assert "[red]blue" in text
    assert "--pictures FOLDER" in text
    hostile = replace(question, left="\x1b[2Jnothing")
    assert "\x1b[2J" not in shown(lambda out: Person(out, keys("q")), hostile)[0]


def test_pictures_and_sounds_are_written_each_to_the_same_file(question: Question, tmp_path: Path) -> None:
    text, _ = shown(lambda out: Person(out, keys("q"), tmp_path / "media"), question)
    assert {path.name for path in (tmp_path / "media").iterdir()} == {"image.png", "audio.wav"}
    assert "▀" not in text
    with Image.open(tmp_path / "media" / "image.png") as picture:
        size = (picture.height, picture.width, 3)
        pixels = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8).view(size)
    scale = pixels.shape[0] // question.context["image"].shape[1]
    small = pixels[::scale, ::scale].permute(2, 0, 1)
    assert torch.equal(small, question.context["image"].expand(3, -1, -1))
    with wave.open(str(tmp_path / "media" / "audio.wav")) as sound:
        assert sound.getnframes() == len(question.context["audio"])
