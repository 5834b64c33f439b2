"""``mm-envs bench metric-speed``: our text metrics beside public ones and plain Python, alone and as reward.

All sides take turns in one process and medians are compared. Before the clock runs, they have to give the
same numbers. The captions are those of Flickr8k that experts judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.human_judgements import flickr8k_expert
from benchmarks.machine import Calibration
from benchmarks.metric_sides import Contest, bleu_contest, cider_contest
from benchmarks.metric_stepping import Setting, stepping_contest
from benchmarks.reports import Options, Report, Table
from benchmarks.statistics import Interval, Spread, median_ratio_interval, spread
from benchmarks.throughput import take_turns

ROUNDS, SECONDS, ROWS = 7, 0.5, 1024


@dataclass(frozen=True)
class Speed:
    """How quick a side was.

    Attributes:
        contest: What it did.
        side: Its name.
        speed: Captions (or row-steps) a second: median and quartiles over the turns.
    """

    contest: str
    side: str
    speed: Spread


@dataclass(frozen=True)
class Ratio:
    """Our speed over that of another side.

    Attributes:
        contest: What both did.
        ours: Our side.
        other: The other side.
        ratio: Ratio of the medians, with its bootstrap interval.
        bar: What must be reached; None: for information.
        goal: What is hoped for beyond; None: nothing.
    """

    contest: str
    ours: str
    other: str
    ratio: Interval
    bar: float | None
    goal: float | None

    @property
    def met(self) -> bool:
        """Whether the ratio reaches the bar."""
        return self.bar is None or self.ratio.value >= self.bar


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """``mm-envs bench metric-speed``: BLEU, CIDEr-D, and environments with CIDEr-D as feedback."""
    generator, calibration = np.random.default_rng(0), Calibration()
    calibration.measure()
    rounds, seconds, rows = (2, 0.01, 16) if options.quick else (ROUNDS, SECONDS, ROWS)
    # Every expert gives a score: each caption stands there three times.
    judged = flickr8k_expert(options.folder("flickr8k_human_judgements"))
    candidates, references = judged.candidates[: 3 * rows : 3], judged.references[: 3 * rows : 3]
    contests: list[Callable[[], Contest]] = [
        lambda: bleu_contest(candidates, references, bar=10),
        lambda: bleu_contest(candidates, [texts[:1] for texts in references], bar=5),
        lambda: cider_contest(candidates, references),
        lambda: stepping_contest(_setting(options.quick, None, rows, seconds), generator, progress),
        lambda: stepping_contest(_setting(options.quick, 1, rows, seconds), generator, progress),
    ]
    speeds: list[Speed] = []
    ratios: list[Ratio] = []
    for make in contests:
        contest = make()
        progress(contest.name)
        turns = take_turns(contest.sides, rounds, seconds, calibration.measure)
        names = [side.name for side in contest.sides]
        speeds += [Speed(contest.name, *one) for one in zip(names, map(spread, turns), strict=True)]
        for duel in contest.duels:
            ratio = median_ratio_interval(turns[duel.ours], turns[duel.other], generator)
            who = names[duel.ours], names[duel.other]
            ratios.append(Ratio(contest.name, *who, ratio, duel.bar, duel.goal))
        for side in contest.sides:
            side.close()
    return Report(
        met=all(one.met for one in ratios),
        shown=(_ratios(ratios), _speeds(speeds)),
        said=(
            f"{options.threads} torch threads, {rounds} turns of {seconds:g} s, batches of {rows:,} captions",
            "sides of a row of the first table gave the same numbers within 1e-4",
        ),
        values={
            "ratios": [{**asdict(one), "met": one.met} for one in ratios],
            "speeds": [asdict(one) for one in speeds],
        },
        busy=calibration.reasons(),
    )


def _setting(quick: bool, references: int | None, rows: int, seconds: float) -> Setting:
    if quick:
        return Setting(rows, (4,), 4, seconds, references, {"items": 256})
    return Setting(rows, (16, 64, 256), 16, seconds, references, {})


def _ratios(ratios: list[Ratio]) -> Table:
    rows = []
    for one in ratios:
        interval = f"{one.ratio.value:.1f}x ({one.ratio.low:.1f} to {one.ratio.high:.1f})"
        goal = "" if one.goal is None else f" (goal {one.goal:g}x)"
        verdict = "" if one.bar is None else "met" if one.met else "MISSED"
        bar = "" if one.bar is None else f"{one.bar:g}x{goal}"
        rows.append((one.contest, one.ours, one.other, interval, bar, verdict))
    columns = ("what", "ours", "other", "ratio of medians (95 %)", "bar", "")
    return Table("Our speed over that of others", columns, rows)


def _speeds(speeds: list[Speed]) -> Table:
    rows = [
        (
            one.contest,
            one.side,
            f"{one.speed.median:,.0f}",
            f"{one.speed.lower:,.0f} to {one.speed.upper:,.0f}",
        )
        for one in speeds
    ]
    return Table("Captions or row-steps a second", ("what", "side", "median", "quartiles"), rows)
