"""Numbers between bounds: vectors and boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.heads.head import AnswerHead, Hear, Turns
from agents.heads.parts import Gaussian
from agents.heads.sampling import PLAIN, Sampling
from mm_envs.answers import Answered, Boxes, Vector
from mm_envs.random import fold, normal

_FIRST_LOG_DEVIATION = -1.0
MIN_LOG_DEVIATION = -4.0


class GaussianHead(AnswerHead):
    """Independent normal distributions around a mean within the bounds, of one deviation a number.

    Draws are clipped to the bounds, as Stable-Baselines3 clips actions; densities are those before clipping.

    Raises:
        ValueError: A bound is infinite.
    """

    def __init__(self, kind: Vector | Boxes, features: int, hidden: int) -> None:
        super().__init__()
        self.kind, self.shape, self.width = kind, tuple(kind.space.shape or ()), features
        size = math.prod(self.shape)
        low, high = float(kind.space.low.min()), float(kind.space.high.max())  # type: ignore[attr-defined]
        if not math.isfinite(high - low):
            raise ValueError(f"numbers from {low} to {high} have no distribution: give finite bounds")
        self.low, self.reach = low, high - low
        self.mean = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, size))
        self.log_deviation = nn.Parameter(torch.full((size,), _FIRST_LOG_DEVIATION))

    def distribution(
        self,
        context: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Turns | None = None,
        sampling: Sampling = PLAIN,
    ) -> Gaussian:
        """The normal distributions of all numbers, as one part; a temperature of 0 has none.

        Raises:
            ValueError: The temperature is 0.
        """
        if sampling.temperature == 0:
            raise ValueError("temperature=0 has no density over numbers: give one above 0")
        each = context.answers_each(len(response))
        mean, deviation = self._moments(context.pooled)
        states = context.pooled
        if each > 1:
            mean, states = mean.repeat_interleave(each, 0), states.repeat_interleave(each, 0)
        return Gaussian(mean, sampling.temperature * deviation, states[:, None])

    def _moments(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.low + self.reach * torch.sigmoid(self.mean(pooled))
        return mean, self.reach * self.log_deviation.clamp(min=MIN_LOG_DEVIATION).exp()

    def sample(
        self, context: Context, hashes: Tensor, sampling: Sampling = PLAIN, hear: Hear | None = None
    ) -> Answered:
        """Draws numbers."""
        mean, deviation = self._moments(context.pooled)
        mean = mean.repeat_interleave(context.answers_each(len(hashes)), 0)
        each = normal(fold(hashes[:, None], torch.arange(mean.shape[1], device=hashes.device)))
        drawn = (mean + sampling.temperature * deviation * each).clamp(self.low, self.low + self.reach)
        return self.kind.finish(drawn.view(-1, *self.shape))
