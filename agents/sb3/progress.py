"""How a training goes: reward and true utility side by side."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stable_baselines3.common.callbacks import BaseCallback


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: Environment steps so far, all rows counted.
        total: Environment steps in the end.
        reward: Mean return of the last finished episodes; NaN before the first.
        utility: Mean true utility of the same episodes; NaN where the environment does not say it.
        steps_per_second: Since this training began.
        seconds_left: At this speed.
    """

    step: int
    total: int
    reward: float
    utility: float
    steps_per_second: float
    seconds_left: float


class ProgressCallback(BaseCallback):
    """Keeps running means over finished episodes, logs them and tells them.

    Args:
        on_progress: Called after every rollout, at most ten times a second, and at the end.
        window: How many finished episodes the means run over.
    """

    def __init__(self, on_progress: Callable[[Progress], None] | None = None, window: int = 1000) -> None:
        super().__init__()
        self._on_progress = on_progress
        self._rewards: deque[float] = deque(maxlen=window)
        self._utilities: deque[float] = deque(maxlen=window)
        self._told = 0.0

    def _on_training_start(self) -> None:
        self._begin, self._first_step = time.monotonic(), self.num_timesteps

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._rewards.append(info["episode"]["r"])
                self._utilities.append(info.get("utility", math.nan))
        return True

    def _on_rollout_end(self) -> None:
        if self._rewards:
            self.logger.record("rollout/reward", _mean(self._rewards))
            self.logger.record("rollout/utility", _mean(self._utilities))
        if time.monotonic() - self._told > 0.1:
            self._tell()

    def _on_training_end(self) -> None:
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        if self._on_progress is None:
            return
        speed = (self.num_timesteps - self._first_step) / max(self._told - self._begin, 1e-9)
        total = self.model._total_timesteps
        self._on_progress(
            Progress(
                step=self.num_timesteps,
                total=total,
                reward=_mean(self._rewards),
                utility=_mean(self._utilities),
                steps_per_second=speed,
                seconds_left=max(0, total - self.num_timesteps) / speed if speed else math.inf,
            )
        )


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else math.nan
