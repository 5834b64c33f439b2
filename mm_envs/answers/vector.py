"""Numbers between two bounds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from mm_envs.answers.kind import Answered, AnswerKind, Editor, as_tensor, numbers_in
from mm_envs.names import check_one_of
from mm_envs.random import fold, normal, uniform

NOISE = 0.2  # standard deviation of one edit, in halves of the range


class Vector(AnswerKind):
    """Numbers of any shape between two bounds, in one step: (n, *shape) float32.

    An infinite bound is for answers that are scored and never drawn.

    Example:
        >>> Vector(2).parse("[0.5, -1]")
        tensor([ 0.5000, -1.0000])
    """

    name: ClassVar[str] = "vector"

    def __init__(self, shape: int | Sequence[int], low: float | str = -1.0, high: float | str = 1.0) -> None:
        low, high = float(low), float(high)
        if not low < high:
            raise ValueError(f"low={low} and high={high} are no range: give numbers in order")
        self.low, self.high = low, high
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        self.space = self.action_space = gym.spaces.Box(low, high, size, np.float32)

    def random(self, hashes: Tensor) -> Tensor:
        """Every number uniform; ValueError where a bound is infinite."""
        if not np.isfinite(self.high - self.low):
            raise ValueError(
                f"numbers from {self.low} to {self.high} have no uniform draw: give finite bounds"
            )
        return self.low + (self.high - self.low) * uniform(self._each(hashes))

    def editor(self, names: Collection[str] | None = None, similar: Sequence[Sequence[str]] = ()) -> Editor:
        """Adds normal noise to every number."""
        for name in names or ():
            check_one_of("kinds", name, ("noise",))
        return Editor(self._edited, self._other)

    def _edited(self, response: Tensor, length: Tensor | None, count: Tensor, hashes: Tensor) -> Answered:
        """Noise whose variance grows with the number of edits."""
        scale = NOISE * (self.high - self.low) / 2 * count.to(torch.float32).sqrt()
        noise = scale.view(-1, *[1] * (response.ndim - 1)) * normal(self._each(hashes))
        return (response + noise).clamp(self.low, self.high), None

    def _other(self, response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
        """One edit, or random numbers where it changed nothing."""
        changed, _ = self._edited(response, length, torch.ones_like(hashes), hashes)
        same = (changed == response).flatten(1).all(1).view(-1, *[1] * (response.ndim - 1))
        return torch.where(same, self.random(hashes), changed), None

    def slip(self, response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
        """A random answer."""
        return self.random(hashes), None

    def same(self, response: Tensor, other: Tensor) -> Tensor:
        """Which responses have their largest number at one index: of distributions the most likely class."""
        return response.flatten(1).argmax(1) == other.flatten(1).argmax(1)

    def parse(self, given: Any) -> Tensor:
        """The numbers."""
        read = numbers_in(given)
        if isinstance(read, str):
            raise ValueError(f"response={given!r} is no vector: give its numbers, as [0.1, -0.2, ...]")
        answer, shape = as_tensor(read), self.action_space.shape
        if tuple(answer.shape) != shape:
            raise ValueError(f"response={given!r} is no answer: give numbers of shape {shape}")
        return answer.to(torch.float32)

    def config(self) -> dict[str, Any]:
        """Shape and bounds; infinite ones as text, since JSON cannot hold them."""
        low, high = (one if np.isfinite(one) else str(one) for one in (self.low, self.high))
        return {"shape": list(self.action_space.shape or ()), "low": low, "high": high}

    def _each(self, hashes: Tensor) -> Tensor:
        """A hash for every number, (n, *shape)."""
        shape = self.action_space.shape or ()
        index = torch.arange(int(np.prod(shape)), device=hashes.device)
        return fold(hashes[:, None], index).view(-1, *shape)
