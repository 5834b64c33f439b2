"""Boxes in a picture."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from mm_envs.answers.kind import Answered, AnswerKind, Editor, State, as_tensor, numbers_in
from mm_envs.names import check_one_of, whole
from mm_envs.random import fold, normal, uniform
from mm_envs.spaces import UniformBox

_EDITS = ("move", "resize")
_STEPS = 4096
NOISE = 0.1  # standard deviation of one edit, in sides of the picture


class Boxes(AnswerKind):
    """Up to ``count`` boxes (left, top, right, bottom) as shares of the picture, (n, count, 4) in [0, 1].

    One step. An action has the same shape in [-1, 1], the usual range of continuous actions: box = (action +
    1) / 2, rounded to 1/4096 of the picture, so that both forms are exactly equal. A box whose right edge is
    not right of its left one, or whose bottom is not below its top, is absent.

    Example:
        >>> kind = Boxes(1)
        >>> kind.parse("[[0.25, 0.25, 0.75, 1.0]]").tolist()
        [[0.25, 0.25, 0.75, 1.0]]
        >>> kind.action(torch.tensor([[[0.25, 0.25, 0.75, 1.0]]]), 0).tolist()
        [[[-0.5, -0.5, 0.5, 1.0]]]
    """

    name: ClassVar[str] = "boxes"

    def __init__(self, count: int = 1) -> None:
        whole("count", count)
        if count < 1:
            raise ValueError(f"count={count} is below 1: an answer has room for at least one box")
        self.count = count
        self.action_space = gym.spaces.Box(-1, 1, (count, 4), np.float32)
        self.space = UniformBox(0.0, 1.0, (count, 4), np.float32)

    def response(self, state: State, actions: Tensor) -> Answered:
        """The boxes of actions."""
        return _rounded((actions.nan_to_num(0.0).clamp(-1, 1) + 1) / 2), None

    def finish(self, response: Tensor) -> Answered:
        """Boxes in steps of 1/4096."""
        return _rounded(response), None

    def action(self, response: Tensor, step: int | Tensor) -> Tensor:
        """The action that gives boxes."""
        return 2 * response - 1

    def present(self, response: Tensor) -> Tensor:
        """Which boxes have an area, (n, count) bool."""
        return ((response[..., 2] > response[..., 0]) & (response[..., 3] > response[..., 1])).to(torch.bool)

    def random(self, hashes: Tensor) -> Tensor:
        """Corners uniform, in order, so that every box has an area."""
        corners = _rounded(uniform(self._each(hashes))).view(-1, self.count, 2, 2)
        return torch.cat([corners.amin(2), corners.amax(2)], 2)

    def editor(self, names: Collection[str] | None = None, similar: Sequence[Sequence[str]] = ()) -> Editor:
        """Moves (``"move"``) or resizes (``"resize"``) boxes; absent boxes stay absent."""
        chosen = _EDITS if names is None else tuple(names)
        for name in chosen:
            check_one_of("kinds", name, _EDITS)
        if not chosen:
            raise ValueError("kinds=() is empty: name at least one of move, resize")

        def edit(response: Tensor, length: Tensor | None, count: Tensor, hashes: Tensor) -> Answered:
            # Noise whose variance grows with the number of edits: on both corners alike, or on each.
            noise = normal(self._each(hashes))
            together = torch.cat([noise[..., :2], noise[..., :2]], -1)
            if chosen == ("move",):
                noise = together
            elif chosen != ("resize",):
                noise = torch.where(uniform(fold(hashes, 1))[:, None, None] < 0.5, together, noise)
            scale = NOISE * count.to(torch.float32).sqrt()[:, None, None]
            moved = _rounded((response + scale * noise).clamp(0, 1))
            return torch.where(self.present(response)[..., None], moved, response), None

        def other(response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
            changed, _ = edit(response, length, torch.ones_like(hashes), hashes)
            same = (changed == response).flatten(1).all(1)[:, None, None]
            return torch.where(same, self.random(hashes), changed), None

        return Editor(edit, other)

    def slip(self, response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
        """Random boxes."""
        return self.random(hashes), None

    def parse(self, given: Any) -> Tensor:
        """Boxes as a list of up to ``count`` lists of four numbers."""
        read = numbers_in(given)
        answer = None if isinstance(read, str) else as_tensor(read).to(torch.float32)
        if answer is not None and answer.numel() == 0:
            answer = answer.reshape(0, 4)
        wrong = answer is None or answer.ndim != 2 or answer.shape[1] != 4 or len(answer) > self.count
        if wrong or answer is None or not bool(((answer >= 0) & (answer <= 1)).all()):
            raise ValueError(
                f"response={given!r:.80} is no answer: give at most {self.count} boxes "
                "[left, top, right, bottom] of numbers from 0 to 1"
            )
        return _rounded(torch.nn.functional.pad(answer, (0, 0, 0, self.count - len(answer))))

    def describe(self, response: Tensor) -> str:
        """The boxes that are there, rounded to hundredths of the picture."""
        boxes = response[self.present(response)].tolist()
        return json.dumps([[round(edge, 2) for edge in box] for box in boxes])

    def config(self) -> dict[str, Any]:
        """The largest number of boxes."""
        return {"count": self.count}

    def _each(self, hashes: Tensor) -> Tensor:
        index = torch.arange(4 * self.count, device=hashes.device)
        return fold(hashes[:, None], index).view(-1, self.count, 4)


def _rounded(boxes: Tensor) -> Tensor:
    return (boxes * _STEPS).round() / _STEPS
