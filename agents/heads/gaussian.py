"""Numbers between bounds: vectors and boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from agents.heads.head import AnswerHead, Context, Hear, Turns
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
        self.kind, self.shape = kind, tuple(kind.space.shape or ())
        size = math.prod(self.shape)
        low, high = float(kind.space.low.min()), float(kind.space.high.max())  # type: ignore[attr-defined]
        if not math.isfinite(high - low):
            raise ValueError(f"numbers from {low} to {high} have no distribution: give finite bounds")
        self.low, self.reach = low, high - low
        self.mean = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, size))
        self.log_deviation = nn.Parameter(torch.full((size,), _FIRST_LOG_DEVIATION))

    def _distribution(self, context: Context) -> tuple[Tensor, Tensor]:
        mean = self.low + self.reach * torch.sigmoid(self.mean(context.pooled))
        return mean, self.reach * self.log_deviation.clamp(min=MIN_LOG_DEVIATION).exp()

    def log_probs(
        self, context: Context, response: Tensor, length: Tensor | None, turns: Turns | None
    ) -> Tensor:
        """The log-density of each number, (n, numbers)."""
        mean, deviation = self._distribution(context)
        away = (response.flatten(1) - mean) / deviation
        return -0.5 * away.square() - deviation.log() - 0.5 * math.log(2 * math.pi)

    def sample(self, context: Context, hashes: Tensor, temperature: float, hear: Hear | None) -> Answered:
        """Draws numbers; their deviation is multiplied by the temperature."""
        mean, deviation = self._distribution(context)
        each = normal(fold(hashes[:, None], torch.arange(mean.shape[1], device=hashes.device)))
        drawn = (mean + temperature * deviation * each).clamp(self.low, self.low + self.reach)
        return self.kind.finish(drawn.view(-1, *self.shape))
