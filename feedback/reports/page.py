"""A report on feedback as one HTML page that loads nothing."""

from __future__ import annotations

from pathlib import Path

from feedback.aggregation.report import INVERTED, KEEP, STOP
from feedback.reports.findings import Findings
from feedback.reports.plots import BAD, FAIR, GOOD, calibration_plot, curve_plot, skill_plot
from mm_envs.pages import render

_GRADES = {KEEP: "good", STOP: "bad", INVERTED: "bad"}
_COLORS = {"good": GOOD, "fair": FAIR, "bad": BAD}


def page(found: Findings, subtitle: str) -> str:
    """The page of findings, with a sentence beneath the title."""
    graded = [(one, _GRADES.get(one.skill.verdict, "fair")) for one in found.annotators]
    named = {
        verdict: [one.skill.name for one in found.annotators if one.skill.verdict == verdict]
        for verdict in (STOP, INVERTED)
    }
    return render(
        Path(__file__).with_name("report.html.jinja"),
        title=f"Feedback on {found.id}",
        subtitle=subtitle,
        found=found,
        annotators=graded,
        stop=named[STOP],
        inverted=named[INVERTED],
        skills=skill_plot([(one, _COLORS[grade]) for one, grade in graded]),
        calibration=calibration_plot(found.reliability),
        curve=curve_plot(found.curve) if found.curve else None,
    )
