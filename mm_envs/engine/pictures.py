"""The pictures of an observation, with the answer drawn on them where its kind refers to pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.answers import AnswerKind, Boxes, Choice, Ranking
from mm_envs.spaces import Candidates, Image, Video

Pictures: TypeAlias = dict[str, list[NDArray[np.uint8]]]
_INK = (255, 214, 10)
_FRAME = 2  # pixels


def pictures_of(
    spaces: Mapping[str, gym.Space[Any]],
    observation: Mapping[str, Tensor],
    kind: AnswerKind | None = None,
    answer: str = "",
) -> Pictures:
    """The pictures of every entry that has some: one, the frames of a video, or all candidates.

    Args:
        spaces: The spaces of the observation.
        observation: One observation (no leading dimension), on the host.
        kind: The kind of the answer, to draw it; None draws nothing.
        answer: The answer as text.

    Returns:
        Pictures (channels, height, width) uint8 by observation key, with three channels where drawn on.
    """
    found: Pictures = {}
    for key, space in spaces.items():
        if isinstance(space, Image):
            found[key] = [observation[key].numpy()]
        elif isinstance(space, Video) or (isinstance(space, Candidates) and isinstance(space.single, Image)):
            found[key] = list(observation[key].numpy())
    if kind is not None and type(kind) in MARKS and answer:
        return MARKS[type(kind)](kind, answer, found)
    return found


def _frame_candidates(kind: AnswerKind, answer: str, found: Pictures) -> Pictures:
    """A frame around the chosen candidate; of a ranking around the first one."""
    if kind.among not in found:
        return found
    index = int(kind.parse(answer).flatten()[0])
    several = list(found[kind.among])
    _, height, width = several[index].shape
    several[index] = _outlined(several[index], (0, 0, width, height))
    return {**found, kind.among: several}


def _draw_boxes(kind: AnswerKind, answer: str, found: Pictures) -> Pictures:
    """The outlines of boxes on the picture."""
    assert isinstance(kind, Boxes)
    boxes = kind.parse(answer)
    boxes = boxes[kind.present(boxes)]
    shown = dict(found)
    for key, several in found.items():
        if len(several) == 1:
            picture = several[0]
            _, height, width = picture.shape
            for box in boxes.tolist():
                edges = [round(edge * side) for edge, side in zip(box, (width, height) * 2, strict=True)]
                picture = _outlined(picture, edges, 1)
            shown[key] = [picture]
    return shown


def _outlined(picture: NDArray[np.uint8], edges: Sequence[int], thickness: int = _FRAME) -> NDArray[np.uint8]:
    """A picture with the outline of a rectangle (left, top, right, bottom) in pixels."""
    out: NDArray[np.uint8] = np.repeat(picture, 3 // len(picture), axis=0).copy()
    left, top, right, bottom = edges
    inside = np.zeros(out.shape[1:], dtype=np.bool_)
    inside[top:bottom, left:right] = True
    inside[top + thickness : bottom - thickness, left + thickness : right - thickness] = False
    out[:, inside] = np.array(_INK, dtype=np.uint8)[:, None]
    return out


# How an answer is drawn; other kinds are shown as text only.
MARKS: dict[type[AnswerKind], Callable[[AnswerKind, str, Pictures], Pictures]] = {
    Boxes: _draw_boxes,
    Choice: _frame_candidates,
    Ranking: _frame_candidates,
}
