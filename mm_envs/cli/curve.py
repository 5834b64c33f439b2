"""Learning curves: as a table and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.optional import require

if TYPE_CHECKING:
    from agents.sb3.progress import Progress

COLUMNS = ("step", "reward", "utility")
_REWARD, _UTILITY, _LINE = "#b0752a", "#1e64be", "#767a84"


def write_table(points: Sequence[Progress], path: Path) -> None:
    """Writes a learning curve as CSV, one line a point."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for point in points:
            # All digits, and no times: one seed gives one file, however often the training was stopped.
            writer.writerow([point.step, repr(point.reward), repr(point.utility)])


def draw(points: Sequence[Progress], yardsticks: Mapping[str, float], title: str, path: Path) -> None:
    """Draws reward and utility against steps as PNG.

    Args:
        points: The learning curve.
        yardsticks: Mean utilities to draw as horizontal lines, by name.
        title: What is shown.
        path: The file.
    """
    require("matplotlib")
    # No pyplot: it keeps figures for the whole process and may look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = [point.step for point in points]
    marker = "o" if len(points) < 3 else None
    axes.plot(
        steps, [p.utility for p in points], color=_UTILITY, lw=2, marker=marker, label="utility (truth)"
    )
    rewards = [point.reward for point in points]
    axes.plot(steps, rewards, color=_REWARD, lw=1.6, marker=marker, label="reward (feedback)")
    for name, value in yardsticks.items():
        axes.axhline(value, color=_LINE, lw=1, ls="--", zorder=0)
        at = (1.0, value)
        axes.annotate(
            f"{name} {value:.2f}",
            at,
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=_LINE,
        )
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("mean of the last episodes")
    axes.set_xlim(left=0)
    axes.set_ylim(top=max(1.09, axes.get_ylim()[1]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center right", frameon=False, fontsize=9)
    figure.savefig(path)
