"""One row of the engine for people: a card with picture, sound and words, or a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.answers import AnswerKind
from mm_envs.engine.pictures import pictures_of
from mm_envs.spaces import Audio, Tokens

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from mm_envs.tasks import Task

_PAPER, _INK, _FAINT, _ACCENT = (250, 249, 246), (32, 34, 40), (118, 122, 132), (30, 100, 190)
_SIDE, _MARGIN, _WIDTH, _LINE, _SIZE = 256, 14, 380, 22, 16
_WAVE_HEIGHT, _COLUMNS, _ABREAST = 64, 42, 4
_FRAME_ROWS, _TEXT_ROWS = 16, 4  # of text in a frame, whose size is fixed for videos, and of one text in it


@dataclass(frozen=True)
class Result:
    """The end of the last episode of a row, in words and numbers."""

    answer: str
    good: tuple[str, ...]
    reward: float
    utility: float

    def lines(self, prefix: str = "") -> list[tuple[str, str]]:
        """Names and texts, as ``draw_card`` takes them."""
        return [
            (f"{prefix}answer", self.answer or "(nothing)"),
            (f"{prefix}good answers", " | ".join(self.good)),
            (f"{prefix}reward", f"{self.reward:.3f}"),
            (f"{prefix}utility", f"{self.utility:.3f}"),
        ]


def results_of(
    task: Task, final: Mapping[str, Any], mask: Tensor, reference: Mapping[str, Tensor]
) -> dict[int, Result]:
    """The results of the rows that have just ended, those of the mask (num_envs,).

    ``final`` is ``final_info`` of the environment, ``reference`` the truth of these episodes, for all rows.
    """
    fields = {name: reference[name].cpu() for name in reference}
    results = {}
    for row in mask.nonzero()[:, 0].tolist():
        truth = {name: value[row] for name, value in fields.items()}
        results[row] = Result(
            task.words(final["response"][row].cpu()),
            tuple(task.reference_words(truth)),
            float(final["episode"]["r"][row]),
            float(final["utility"][row]),
        )
    return results


def describe(
    spaces: Mapping[str, gym.Space[Any]],
    observation: Mapping[str, Tensor],
    result: Result | None,
    ended: bool,
) -> list[tuple[str, str]]:
    """Names and texts of one observation (no leading dimension) and of the last result of the row, if any.

    ``ended`` tells whether the observation is the last one of the episode of the result.
    """
    lines = []
    for key, space in spaces.items():
        if isinstance(space, Tokens):
            name = "words so far" if key == "tokens" else key
            lines.append((name, space.vocabulary.decode(observation[key]) or "-"))
    if result is not None:
        lines += result.lines("" if ended else "last ")
    return lines


def as_text(lines: Sequence[tuple[str, str]]) -> str:
    """The lines as plain text."""
    return "\n".join(f"{name}: {text}" for name, text in lines)


def frames(
    task: Task,
    batch: Mapping[str, Tensor],
    results: Mapping[int, Result],
    ended: Sequence[bool],
    mode: str,
) -> tuple[Any, ...]:
    """One (height, width, 3) uint8 array ("rgb_array"), all of one size, or one string ("ansi") a row.

    ``batch`` holds the observations of all rows, ``results`` the last results of rows, and ``ended`` whether
    the observation of a row is the last one of the episode of its result.
    """
    spaces, drawn = dict(task.observation_space.spaces), list[Any]()
    shown = {key: value.cpu() for key, value in batch.items()}
    for row, over in enumerate(ended):
        observation = {key: value[row] for key, value in shown.items()}
        result = results.get(row)
        lines = describe(spaces, observation, result, over)
        if mode == "ansi":
            drawn.append(as_text(lines))
            continue
        answer = result.answer if result is not None and over else ""
        drawn.append(np.asarray(draw_card(spaces, observation, lines, task.answer, answer, _FRAME_ROWS)))
    return tuple(drawn)


def draw_card(
    spaces: Mapping[str, gym.Space[Any]],
    observation: Mapping[str, Tensor],
    lines: Sequence[tuple[str, str]],
    kind: AnswerKind | None = None,
    answer: str = "",
    rows: int | None = None,
) -> Picture:
    """A picture (RGB): images and the wave forms of sounds at the left, words at the right.

    ``lines`` are names and texts, which take ``rows`` rows if given; the other arguments are those of
    ``pictures_of``.
    """
    from PIL import Image as pillow

    media, words = draw_media(spaces, observation, kind, answer), _written(lines, rows)
    size = (media.width + words.width + 3 * _MARGIN, max(media.height, words.height) + 2 * _MARGIN)
    card = pillow.new("RGB", size, _PAPER)
    card.paste(media, (_MARGIN, _MARGIN))
    card.paste(words, (media.width + 2 * _MARGIN, _MARGIN))
    return card


def draw_media(
    spaces: Mapping[str, gym.Space[Any]],
    observation: Mapping[str, Tensor],
    kind: AnswerKind | None = None,
    answer: str = "",
) -> Picture:
    """The pictures of an observation and the wave forms of its sounds, in one column; see ``pictures_of``."""
    from PIL import Image as pillow

    pictures = pictures_of(spaces, observation, kind, answer)
    shown = [_enlarged(_side_by_side(several)) for several in pictures.values()]
    shown += [_wave(observation[key].numpy()) for key, space in spaces.items() if isinstance(space, Audio)]
    height = sum(one.height + _MARGIN for one in shown) - _MARGIN if shown else 0
    column = pillow.new("RGB", (max((one.width for one in shown), default=0), height), _PAPER)
    top = 0
    for one in shown:
        column.paste(one, (0, top))
        top += one.height + _MARGIN
    return column


def contact_sheet(cards: Sequence[Picture], columns: int = 3) -> Picture:
    """At least one card, in a grid on one sheet."""
    from PIL import Image as pillow

    if not cards:
        raise ValueError("a contact sheet of no cards: give at least one")
    width, height = max(card.width for card in cards), max(card.height for card in cards)
    rows = -(-len(cards) // columns)
    sheet = pillow.new("RGB", (width * min(columns, len(cards)), height * rows), _PAPER)
    for i, card in enumerate(cards):
        sheet.paste(card, (i % columns * width, i // columns * height))
    return sheet


def _side_by_side(several: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures in rows of at most ``_ABREAST``, all with as many channels as the one with most."""
    most = max(len(one) for one in several)
    whole = [np.repeat(one, most // len(one), axis=0) for one in several]
    if len(whole) > _ABREAST:
        whole += [np.zeros_like(whole[0])] * (-len(whole) % _ABREAST)
    rows = [np.concatenate(whole[at : at + _ABREAST], axis=2) for at in range(0, len(whole), _ABREAST)]
    return np.concatenate(rows, axis=1)


def _enlarged(pixels: NDArray[np.uint8]) -> Picture:
    from PIL import Image as pillow

    picture = pillow.fromarray(np.repeat(pixels, 3 // len(pixels), axis=0).transpose(1, 2, 0).copy())
    scale = max(1, _SIDE // picture.height)
    return picture.resize((picture.width * scale, picture.height * scale), pillow.Resampling.NEAREST)


def _wave(samples: NDArray[np.float32]) -> Picture:
    from PIL import Image as pillow
    from PIL import ImageDraw

    picture = pillow.new("RGB", (_SIDE, _WAVE_HEIGHT), (255, 255, 255))
    draw, middle = ImageDraw.Draw(picture), _WAVE_HEIGHT // 2
    for x, part in enumerate(np.array_split(samples, _SIDE)):
        low, high = (float(part.min()), float(part.max())) if len(part) else (0.0, 0.0)
        draw.line((x, middle - high * (middle - 2), x, middle - low * (middle - 2)), fill=_ACCENT)
    return picture


def _written(lines: Sequence[tuple[str, str]], most: int | None) -> Picture:
    from PIL import Image as pillow
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(_SIZE)
    rows: list[tuple[str, tuple[int, int, int]]] = []
    for name, text in lines:
        rows.append((name, _FAINT))
        limit = None if most is None else _TEXT_ROWS
        rows += [(part, _INK) for part in wrap(text, _COLUMNS, max_lines=limit, placeholder=" ...") or ["-"]]
    if most is not None and len(rows) > most:
        rows = [*rows[: most - 1], ("...", _INK)]
    picture = pillow.new("RGB", (_WIDTH, (most or max(1, len(rows))) * _LINE), _PAPER)
    draw = ImageDraw.Draw(picture)
    for i, (text, colour) in enumerate(rows):
        draw.text((0, i * _LINE), text, fill=colour, font=font)
    return picture
