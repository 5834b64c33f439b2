"""The plots of a report as SVG, drawn by matplotlib: fonts of the page, nothing is loaded."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mm_envs.optional import require

if TYPE_CHECKING:
    from feedback.calibration import ReliabilityCurve
    from feedback.reports.findings import Annotator, Point

GOOD, FAIR, BAD = "#2f8f4e", "#b98213", "#c0433b"
_TRUTH, _LABELS, _INK = GOOD, "#3f7fd6", "#8a8f9c"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mm-envs",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.4,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


class Svg(str):
    """SVG that Jinja inserts as it is: matplotlib escapes every text in it."""

    def __html__(self) -> str:
        return self


def skill_plot(annotators: Sequence[tuple[Annotator, str]]) -> Svg:
    """The skill of each annotator with its interval, in the color that comes with it."""
    with _axes(0.3 * len(annotators) + 0.6) as (axes, drawn):
        for row, (one, color) in enumerate(annotators):
            skill = one.skill
            axes.plot([skill.low, skill.high], [row, row], color=color)
            axes.plot([skill.skill], [row], "o", color=color)
        axes.axvline(0.5, color=_INK, linestyle="--", linewidth=1)
        names = [one.skill.name for one, _ in annotators]
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    return drawn[0]


def calibration_plot(curve: ReliabilityCurve) -> Svg:
    """Confidence against accuracy with 95 % intervals; points grow with the number of pairs."""
    from mm_envs.statistics import wilson_interval

    counts = curve.count.tolist()
    intervals = [
        wilson_interval(share, count) for share, count in zip(curve.accuracy.tolist(), counts, strict=True)
    ]
    with _axes() as (axes, drawn):
        axes.plot([0.5, 1], [0.5, 1], color=_INK, linestyle="--", linewidth=1)
        _points(axes, curve.confidence.tolist(), [(one.value, one.low, one.high) for one in intervals])
        sizes = [15 + 45 * count / max(counts) for count in counts]
        axes.scatter(curve.confidence.tolist(), curve.accuracy.tolist(), s=sizes, color=_LABELS, zorder=3)
        low = min(0.5, *(one.low for one in intervals)) - 0.03
        axes.set(xlabel="confidence", ylabel="agrees with the label", xlim=(0.48, 1.02), ylim=(low, 1.03))
    return drawn[0]


def curve_plot(points: Sequence[Point]) -> Svg:
    """Accuracy on labels and on the truth over the number of labels, with 95 % intervals."""
    labels = [one.labels for one in points]
    with _axes() as (axes, drawn):
        _points(axes, labels, [one.accuracy for one in points], "on labels", _LABELS)
        _points(axes, labels, [one.truth for one in points], "on the truth", _TRUTH)
        axes.set(xscale="log", xlabel="labels", ylabel="accuracy")
        axes.set_xticks(labels, [f"{label:,}" for label in labels], minor=False)
        axes.set_xticks([], minor=True)
        axes.legend(frameon=False, loc="lower right")
    return drawn[0]


def _points(
    axes: Any,
    x: Sequence[float],
    values: Sequence[tuple[float, float, float]],
    label: str | None = None,
    color: str = _LABELS,
) -> None:
    """Points with intervals, (value, low, high) each, joined by lines."""
    y = [value for value, _, _ in values]
    # Rounding can put an end of an interval on the wrong side of a share of 0 or 1.
    lower = [max(0.0, value - low) for value, low, _ in values]
    upper = [max(0.0, high - value) for value, _, high in values]
    axes.errorbar(x, y, [lower, upper], marker="o", color=color, label=label)


@contextmanager
def _axes(height: float = 3.0) -> Iterator[tuple[Any, list[Svg]]]:
    """Axes to draw on; at the end the list holds the plot."""
    require("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure

    drawn: list[Svg] = []
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.4, height), layout="tight")
        yield figure.subplots(), drawn
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
    content = file.getvalue()
    drawn.append(Svg(content[content.index("<svg") :]))


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}\N{HORIZONTAL ELLIPSIS}"
