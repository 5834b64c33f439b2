"""The learning curve of a training: reward and true utility of the last episodes, and what trainers log."""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from agents.state import State
from mm_envs.optional import require
from mm_envs.values import finite

COLUMNS = ("step", "reward", "utility")
_REWARD, _UTILITY, _LINE = "#b0752a", "#1e64be", "#767a84"


@dataclass(frozen=True)
class Progress:
    """A point of a learning curve.

    Attributes:
        step: Steps so far; see ``Trainer.step``.
        total: Steps in the end.
        reward: Mean return of the last finished episodes; NaN before the first.
        utility: Mean true utility of the same episodes; NaN where the environment does not give it.
        metrics: What the trainer logged, by name.
        steps_per_second: Since this training began or was resumed; NaN for points from a checkpoint.
        seconds_left: At this speed.
    """

    step: int
    total: int
    reward: float
    utility: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps_per_second: float = math.nan
    seconds_left: float = math.nan

    def record(self) -> dict[str, Any]:
        """The point as JSON values, without times: one seed gives one record. NaN is None."""
        numbers = {"step": self.step, "reward": self.reward, "utility": self.utility, **self.metrics}
        return dict(finite(numbers))


@dataclass
class Curve:
    """What a training keeps of its progress.

    Attributes:
        points: The learning curve.
        rewards: The returns of the last finished episodes, and in ``utilities`` their true utilities.
        seconds: How long the training has taken.
    """

    points: list[Progress] = field(default_factory=list)
    rewards: deque[float] = field(default_factory=deque)
    utilities: deque[float] = field(default_factory=deque)
    seconds: float = 0.0

    @property
    def last_step(self) -> int:
        """The step of the last point; 0 where there is none."""
        return self.points[-1].step if self.points else 0

    def keep(self, window: int) -> None:
        """Keeps this many episodes from now on."""
        if self.rewards.maxlen != window:
            self.rewards, self.utilities = (deque(old, window) for old in (self.rewards, self.utilities))

    def state_dict(self) -> State:
        """All points and the episodes that the next means run over."""
        values = {
            "points": [[p.step, p.total, p.reward, p.utility, dict(p.metrics)] for p in self.points],
            "window": self.rewards.maxlen,
            "seconds": self.seconds,
        }
        several = {"rewards": self.rewards, "utilities": self.utilities}
        episodes = {name: torch.tensor(kept, dtype=torch.float64) for name, kept in several.items()}
        return State(values, episodes)

    def load_state_dict(self, state: State) -> None:
        """Goes on with a saved curve."""
        values, window = state.values, state.values["window"]
        self.points = [
            Progress(
                *(int(step), int(total), float(reward), float(utility)),
                metrics={str(name): float(value) for name, value in metrics.items()},
            )
            for step, total, reward, utility, metrics in values["points"]
        ]
        self.seconds = float(values["seconds"])
        self.rewards = deque(state.tensors["rewards"].tolist(), None if window is None else int(window))
        self.utilities = deque(state.tensors["utilities"].tolist(), self.rewards.maxlen)


def mean(values: Iterable[float]) -> float:
    """The mean of some numbers; NaN of none."""
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def write_table(points: Sequence[Progress], path: Path) -> None:
    """Writes a learning curve as CSV, one line a point."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for point in points:
            # All digits, and no times: one seed gives one file, however often the training was resumed.
            writer.writerow([point.step, repr(point.reward), repr(point.utility)])


def draw(points: Sequence[Progress], baselines: Mapping[str, float], title: str, path: Path) -> None:
    """Draws reward and utility against steps as PNG, and mean utilities of baselines as horizontal lines."""
    require("matplotlib")
    # No pyplot: it keeps figures for the whole process and may look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = [point.step for point in points]
    marker = "o" if len(points) < 3 else None
    utility, reward = [p.utility for p in points], [p.reward for p in points]
    axes.plot(steps, utility, color=_UTILITY, lw=2, marker=marker, label="utility (truth)")
    axes.plot(steps, reward, color=_REWARD, lw=1.6, marker=marker, label="reward (feedback)")
    for name, value in baselines.items():
        axes.axhline(value, color=_LINE, lw=1, ls="--", zorder=0)
        axes.text(
            *(0.99, value, f"{name} {value:.2f}"),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=8,
            color=_LINE,
        )
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("steps")
    axes.set_ylabel("mean of the last episodes")
    axes.set_xlim(left=0)
    axes.set_ylim(top=max(1.09, axes.get_ylim()[1]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    # Below the axes: within them it would cover some part of some curve, above them the title.
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(path)
