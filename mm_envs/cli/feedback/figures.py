"""Figures of a report as SVG, drawn by hand: nothing is loaded, and every text is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 420.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 26.0, 44.0
_ROW = 26.0


@dataclass(frozen=True)
class Axis:
    """One direction of a figure.

    Attributes:
        label: What it says.
        low: The value at its beginning.
        high: That at its end.
        log: Whether equal steps are equal ratios.
        ticks: Where numbers stand; none for five of them.
    """

    label: str
    low: float
    high: float
    log: bool = False
    ticks: tuple[float, ...] = ()

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1; values outside lie at the ends."""
        low, high, value = (math.log(one) if self.log else one for one in (self.low, self.high, value))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    def marks(self) -> tuple[float, ...]:
        """Where numbers stand."""
        return self.ticks or tuple(self.low + (self.high - self.low) * step / 4 for step in range(5))


@dataclass(frozen=True)
class Line:
    """Points that are joined.

    Attributes:
        name: What it shows.
        points: x and y of each.
        bounds: The ends of the interval of each point; empty for none.
        style: The class of the line: "one", "two" or "faint".
        sizes: The radius of each point; empty for equal ones.
    """

    name: str
    points: Sequence[tuple[float, float]]
    bounds: Sequence[tuple[float, float]] = ()
    style: str = "one"
    sizes: Sequence[float] = ()


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """A figure with two axes.

    Args:
        title: What it shows, for those who do not see it.
        x: To the right.
        y: Upwards.
        lines: What is drawn, the first one at the bottom.

    Example:
        >>> chart("<b>", Axis("x", 0, 1), Axis("y", 0, 1), [])[:62]
        '<svg viewBox="0 0 420 300" role="img" aria-label="&lt;b&gt;"><'
    """
    body = [_axes(x, y), *(_line(one, x, y) for one in lines), _legend(lines)]
    return _svg(title, _WIDTH, _HEIGHT, body)


def intervals(title: str, rows: Sequence[tuple[str, float, float, float, str]], middle: float = 0.5) -> str:
    """One row each with a name, a point and its interval, on a scale from 0 to 1.

    Args:
        title: What it shows.
        rows: Name, value, low, high and the class of the row ("good", "fair" or "bad").
        middle: Where a line goes down.
    """
    axis, left = Axis("", 0.0, 1.0), 120.0
    height = _ROW * len(rows) + 30
    wide = _WIDTH - left - _RIGHT

    def at(value: float) -> float:
        return left + wide * axis.share(value)

    foot = height - 26
    body = [
        f'<line class="grid" x1="{at(v):.1f}" x2="{at(v):.1f}" y1="4" y2="{foot:.1f}"/>'
        f'<text x="{at(v):.1f}" y="{foot + 16:.1f}" text-anchor="middle">{v:g}</text>'
        for v in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    body.append(f'<line class="middle" x1="{at(middle):.1f}" x2="{at(middle):.1f}" y1="4" y2="{foot:.1f}"/>')
    for place, (name, value, low, high, style) in enumerate(rows):
        y = 4 + _ROW * (place + 0.5)
        short = name if len(name) <= 16 else f"{name[:15]}\N{HORIZONTAL ELLIPSIS}"
        body.append(
            f'<g class="{escape(style)}"><title>{escape(name)}: {value:.3f}, {low:.3f} to {high:.3f}</title>'
            f'<text x="{left - 10:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(short)}</text>'
            f'<line class="whisker" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle cx="{at(value):.1f}" cy="{y:.1f}" r="4.5"/></g>'
        )
    return _svg(title, _WIDTH, height, body)


def _svg(title: str, width: float, height: float, body: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return f"{head}{''.join(body)}</svg>"


def _place(x: Axis, y: Axis, point: tuple[float, float]) -> tuple[float, float]:
    across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * x.share(point[0])
    return across, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * y.share(point[1])


def _axes(x: Axis, y: Axis) -> str:
    parts = []
    for value in x.marks():
        across, foot = _place(x, y, (value, y.low))
        parts.append(
            f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{_TOP:g}" y2="{foot:.1f}"/>'
        )
        parts.append(
            f'<text x="{across:.1f}" y="{foot + 16:.1f}" text-anchor="middle">{_number(value)}</text>'
        )
    for value in y.marks():
        left, up = _place(x, y, (x.low, value))
        parts.append(
            f'<line class="grid" x1="{left:.1f}" x2="{_WIDTH - _RIGHT:g}" y1="{up:.1f}" y2="{up:.1f}"/>'
        )
        parts.append(f'<text x="{left - 8:.1f}" y="{up + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{_HEIGHT - 8:g}" text-anchor="middle">{escape(x.label)}</text>')
    half = (_HEIGHT - _BOTTOM + _TOP) / 2
    parts.append(
        f'<text transform="translate(13 {half:g}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    )
    return f'<g class="axis">{"".join(parts)}</g>'


def _line(line: Line, x: Axis, y: Axis) -> str:
    places = [_place(x, y, point) for point in line.points]
    joined = " ".join(f"{across:.1f},{up:.1f}" for across, up in places)
    parts = [f'<polyline points="{joined}"/>']
    for (value, _), (low, high) in zip(line.points, line.bounds, strict=False):
        (across, foot), (_, head) = _place(x, y, (value, low)), _place(x, y, (value, high))
        parts.append(
            f'<line class="whisker" x1="{across:.1f}" x2="{across:.1f}" y1="{foot:.1f}" y2="{head:.1f}"/>'
        )
    if line.style != "faint":
        sizes = line.sizes or [4.0] * len(places)
        for (across, up), size, (_, value) in zip(places, sizes, line.points, strict=True):
            parts.append(
                f'<circle cx="{across:.1f}" cy="{up:.1f}" r="{size:.1f}"><title>{value:.3f}</title></circle>'
            )
    return f'<g class="{escape(line.style)}">{"".join(parts)}</g>'


def _legend(lines: Sequence[Line]) -> str:
    parts = []
    for place, line in enumerate(one for one in lines if one.name):
        left, up = _LEFT + 130 * place, _TOP / 2
        parts.append(
            f'<g class="{escape(line.style)}"><line class="whisker" x1="{left:g}" '
            f'x2="{left + 18:g}" y1="{up:g}" y2="{up:g}"/>'
            f'<text x="{left + 24:g}" y="{up + 4:g}">{escape(line.name)}</text></g>'
        )
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")
