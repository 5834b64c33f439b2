"""The progress of a training on a terminal; plain lines where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mm_envs.cli.output import console, duration

if TYPE_CHECKING:
    from agents.curve import Progress as Point

_LINES = 10


class Watch:
    """Shows the last point of a learning curve."""

    def __init__(self, title: str, total: int) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._title, self._out, self._lines = title, console(json_output=True), 0
        columns = (BarColumn(12), TaskProgressColumn(), TextColumn("{task.fields[message]}"))
        self._bar = Progress(*columns, console=self._out, disable=not self._out.is_terminal)
        self._task = self._bar.add_task(title, total=total, message="")

    def __call__(self, point: Point) -> None:
        """Takes one point."""
        message = (
            f"reward {point.reward:.3f}  utility {point.utility:.3f}  "
            f"{point.steps_per_second:,.0f} steps/s  {duration(point.seconds_left)} left"
        )
        if self._out.is_terminal:
            self._bar.update(self._task, completed=point.step, message=message)
        elif point.step * _LINES >= self._lines * point.total:
            self._lines = point.step * _LINES // point.total + 1
            self._out.print(f"{self._title}  {point.step:,} of {point.total:,}  {message}", soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator[Watch]:
        """Shows the progress while it lasts."""
        if self._out.is_terminal:
            self._out.print(self._title)
        with self._bar:
            yield self
