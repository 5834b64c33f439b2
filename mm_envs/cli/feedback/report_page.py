"""A report on feedback as one HTML page that needs nothing besides itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING

from feedback.aggregation.report import INVERTED, KEEP, STOP
from mm_envs.cli.feedback.figures import Axis, Line, chart, intervals

if TYPE_CHECKING:
    from mm_envs.cli.feedback.findings import Findings, Voice

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --paper: #f6f5f1; --card: #fff; --ink: #20222a; --faint: #6b6f7a;
  --line: #e3e1da; --good: #2f8f4e; --fair: #b98213; --bad: #c0433b; --one: #1e64be; --two: #2f8f4e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171c; --card: #1e2128; --ink: #e8e8ea; --faint: #9a9eab; --line: #30343e;
    --good: #58c07b; --fair: #e0ae47; --bad: #ea736b; --one: #6ea8f0; --two: #58c07b; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 3rem) 3rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0 0 .2rem; font-size: 1.5rem; letter-spacing: -.01em; }
h2 { margin: 0 0 .3rem; font-size: 1.05rem; }
header p, section p { margin: .15rem 0 .6rem; color: var(--faint); overflow-wrap: anywhere; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 1.1rem;
  margin-top: 1.4rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1rem 1.1rem 1.1rem; min-width: 0; }
section.wide { grid-column: 1 / -1; overflow-x: auto; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem 2.2rem; margin: .3rem 0 0; }
.tiles div { min-width: 6rem; }
.tiles b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--faint); font-size: .82rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--faint); }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left; }
td { white-space: nowrap; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 7em; font-weight: 600; }
.good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
svg { display: block; width: 100%; height: auto; max-width: 560px; }
svg text { font-size: 11px; fill: var(--faint); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .middle { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 4 3; }
svg polyline { fill: none; stroke-width: 2; stroke: currentColor; }
svg .whisker { stroke-width: 2; stroke: currentColor; }
svg circle { fill: currentColor; }
svg .one { color: var(--one); } svg .two { color: var(--two); }
svg .faint { color: var(--faint); } svg .faint polyline { stroke-dasharray: 4 3; stroke-width: 1.2; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$subtitle</p>
<div class="tiles">$tiles</div>
</header>
<main>
$sections
</main>
</body>
</html>
""")
_STYLE = {KEEP: "good", STOP: "bad", INVERTED: "bad"}
_MEASURES = {"ece": "ECE", "brier": "Brier score", "nll": "negative log-likelihood"}
_COLUMNS = (
    "labels",
    "right by utility",
    "skill [95 %]",
    "others agree",
    "ties",
    "skips",
    "first shown",
    "time",
)


def page(found: Findings, subtitle: str) -> str:
    """The page; every text is escaped.

    Args:
        found: What it says.
        subtitle: A sentence beneath the title.
    """
    sections = [_annotators(found), _skills(found), _calibration(found), _curve(found)]
    return _PAGE.substitute(
        title=escape(f"Feedback on {found.id}"),
        subtitle=escape(subtitle),
        tiles="".join(f"<div><b>{escape(b)}</b><span>{escape(a)}</span></div>" for a, b in _tiles(found)),
        sections="\n".join(one for one in sections if one),
    )


def _tiles(found: Findings) -> list[tuple[str, str]]:
    agreed = found.agreement
    return [
        *((f"{kind} records", f"{count:,}") for kind, count in found.kinds.items()),
        ("items", f"{found.items:,}"),
        ("annotators", f"{len(found.voices):,}"),
        ("pairs with several votes", f"{agreed.shared:,}"),
        ("Krippendorff's alpha", _number(agreed.alpha)),
        ("votes with the majority", _percent(agreed.majority)),
        ("pairs without a majority", _percent(agreed.tied)),
    ]


def _annotators(found: Findings) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in ("annotator", *_COLUMNS, "verdict"))
    rows = "".join(map(_row, found.voices))
    stop, turned = (
        ", ".join(one.skill.name for one in found.voices if one.skill.verdict == verdict)
        for verdict in (STOP, INVERTED)
    )
    said = f"Stop asking: {stop or 'nobody'}. Says the opposite: {turned or 'nobody'}."
    return _section(
        "Annotators",
        f"{said} Skill is how often somebody says what they see, by models that have not seen the label "
        "and by what others say of the same pair. The joint loss turns round who says the opposite.",
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>",
        wide=True,
    )


def _row(voice: Voice) -> str:
    skill = voice.skill
    cells = (
        f"{skill.labels:,}",
        _percent(voice.truth),
        f"{skill.skill:.2f} [{skill.low:.2f}, {skill.high:.2f}]",
        _percent(voice.same),
        _percent(voice.ties),
        _percent(voice.skips),
        _percent(voice.first),
        "-" if math.isnan(voice.seconds) else f"{voice.seconds:.1f} s",
    )
    verdict = f'<td class="{_STYLE.get(skill.verdict, "fair")}">{escape(skill.verdict)}</td>'
    return f"<tr><td>{escape(skill.name)}</td>{''.join(f'<td>{one}</td>' for one in cells)}{verdict}</tr>"


def _skills(found: Findings) -> str:
    rows = [
        (one.name, one.skill, one.low, one.high, _STYLE.get(one.verdict, "fair"))
        for one in (voice.skill for voice in found.voices)
    ]
    return _section(
        "Skill", "With 95 % intervals; 0.5 is a coin.", intervals("Skill of each annotator", rows)
    )


def _calibration(found: Findings) -> str:
    curve = found.reliability
    points = list(zip(curve.confidence.tolist(), curve.accuracy.tolist(), strict=True))
    most = max(curve.count.tolist())
    sizes = [2 + 4 * math.sqrt(count / most) for count in curve.count.tolist()]
    bounds = _shares(points, curve.count.tolist())
    low = min(0.5, *(end for end, _ in bounds))
    lines = [
        Line("", [(0.5, 0.5), (1.0, 1.0)], style="faint"),
        Line("", points, bounds=bounds, sizes=sizes),
    ]
    measured = ", ".join(f"{_MEASURES[name]} {value:.3f}" for name, value in found.calibration.items())
    figure = chart(
        "Calibration: confidence against accuracy",
        _tenths("confidence", 0.5),
        _tenths("agrees with the label", low),
        lines,
    )
    return _section("Calibration", f"Of {found.scored_by}: {measured}.", figure)


def _shares(points: Sequence[tuple[float, float]], counts: Sequence[int]) -> list[tuple[float, float]]:
    """95 % intervals of shares (Wilson, 1927)."""
    from feedback.candidates.accuracy import wilson

    return [wilson(share, count) for (_, share), count in zip(points, counts, strict=True)]


def _curve(found: Findings) -> str:
    if not found.curve:
        return ""
    labels = [one.labels for one in found.curve]
    lines = []
    for name, style, values in (
        ("on labels", "one", [one.accuracy for one in found.curve]),
        ("on the truth", "two", [one.truth for one in found.curve]),
    ):
        points = [(float(x), value[0]) for x, value in zip(labels, values, strict=True)]
        lines.append(Line(name, points, [value[1:] for value in values], style))
    low = min(0.5, *(end for line in lines for end, _ in line.bounds))
    figure = chart(
        "Accuracy over labels",
        Axis("labels", labels[0] * 0.9, labels[-1] * 1.1, log=True, ticks=tuple(map(float, labels))),
        _tenths("accuracy", low),
        lines,
    )
    note = "One reward model with the joint loss, tested on items that it has not seen; ties are left out."
    return _section("Learning curve", note, figure)


def _tenths(label: str, low: float) -> Axis:
    """An axis from a tenth below a value up to 1, with a number at each tenth."""
    first = max(0, math.floor(low * 10))
    return Axis(label, first / 10, 1.0, ticks=tuple(tenth / 10 for tenth in range(first, 11)))


def _section(title: str, note: str, body: str, wide: bool = False) -> str:
    style = ' class="wide"' if wide else ""
    return f"<section{style}><h2>{escape(title)}</h2><p>{escape(note)}</p>{body}</section>"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
