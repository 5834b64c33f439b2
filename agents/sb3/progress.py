"""How a training goes: reward and true utility side by side."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stable_baselines3.common.callbacks import BaseCallback

POINTS = 500


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: Environment steps so far, all rows counted.
        total: Environment steps in the end.
        reward: Mean return of the last finished episodes; NaN before the first.
        utility: Mean true utility of the same episodes; NaN where the environment does not say it.
        steps_per_second: Since this training began, or went on.
        seconds_left: At this speed.
    """

    step: int
    total: int
    reward: float
    utility: float
    steps_per_second: float
    seconds_left: float


@dataclass
class Curve:
    """What a training keeps of its progress.

    Attributes:
        points: The learning curve.
        rewards: The returns of the last finished episodes.
        utilities: Their true utilities.
        seconds: How long the training has taken.
    """

    points: list[Progress] = field(default_factory=list)
    rewards: deque[float] = field(default_factory=deque)
    utilities: deque[float] = field(default_factory=deque)
    seconds: float = 0.0

    def keep(self, window: int) -> None:
        """Keeps this many episodes from now on."""
        if self.rewards.maxlen != window:
            self.rewards, self.utilities = (deque(old, window) for old in (self.rewards, self.utilities))


class ProgressCallback(BaseCallback):
    """Keeps running means over finished episodes, logs them and tells them.

    When a point is told depends on the number of steps alone, so that learning curves can be compared.

    Args:
        curve: Where they are kept.
        on_progress: Called after every rollout, at most about ``POINTS`` times in a training, and at the end.
    """

    def __init__(self, curve: Curve, on_progress: Callable[[Progress], None] | None = None) -> None:
        super().__init__()
        self._curve, self._on_progress = curve, on_progress

    def _on_training_start(self) -> None:
        self._begin, self._first_step = time.monotonic(), self.num_timesteps
        self._before = self._curve.seconds

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._curve.rewards.append(info["episode"]["r"])
                self._curve.utilities.append(info.get("utility", math.nan))
        return True

    def _on_rollout_end(self) -> None:
        if self._curve.rewards:
            self.logger.record("rollout/reward", _mean(self._curve.rewards))
            self.logger.record("rollout/utility", _mean(self._curve.utilities))
        self._curve.seconds = self._before + time.monotonic() - self._begin
        total = self.model._total_timesteps
        if self.num_timesteps * POINTS // total > self._last() * POINTS // total:
            self._tell()

    def _on_training_end(self) -> None:
        self._curve.seconds = self._before + time.monotonic() - self._begin
        if self.num_timesteps > self._last():
            self._tell()

    def _last(self) -> int:
        return self._curve.points[-1].step if self._curve.points else 0

    def _tell(self) -> None:
        passed = max(time.monotonic() - self._begin, 1e-9)
        speed, total = (self.num_timesteps - self._first_step) / passed, self.model._total_timesteps
        point = Progress(
            step=self.num_timesteps,
            total=total,
            reward=_mean(self._curve.rewards),
            utility=_mean(self._curve.utilities),
            steps_per_second=speed,
            seconds_left=max(0, total - self.num_timesteps) / speed if speed else math.inf,
        )
        self._curve.points.append(point)
        if self._on_progress is not None:
            self._on_progress(point)


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else math.nan
