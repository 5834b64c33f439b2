"""What teachers and queries did, as tables, and the bars that they are held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import copysign, inf
from typing import Any

import numpy as np

from agents.evaluate import Estimate
from benchmarks.reports import Bar, Report, Table
from benchmarks.teachers.runs import Run
from feedback.annotators import TEACHERS

LEAST_GAP = 0.05
QUERIES = ("uniform", "disagreement", "entropy")
FLIPS = "25 % flips"


@dataclass(frozen=True)
class Findings:
    """All runs of one sampler.

    Attributes:
        runs: The runs, every cell with the same seeds.
    """

    runs: Sequence[Run]

    @property
    def sampler(self) -> str:
        """Where the answers come from."""
        return self.runs[0].accuracy.sampler

    def of(self, teacher: str, query: str) -> list[Run]:
        """The runs of a cell, by seed."""
        found = [run for run in self.runs if (run.cell.name, run.cell.query) == (teacher, query)]
        return sorted(found, key=lambda run: run.seed)

    def accuracy(self, teacher: str, query: str) -> Estimate:
        """Mean held-out accuracy over seeds."""
        return _over(self.of(teacher, query), lambda run: run.accuracy.accuracy)

    def gap(self, better: tuple[str, str], worse: tuple[str, str]) -> Estimate:
        """How much more accurate one (teacher, query) is than another, seed by seed."""
        return Estimate.of(self._accuracies(*better) - self._accuracies(*worse))

    def gain(self, query: str) -> Estimate:
        """How much more accurate a query is than uniform: the mean over the six teachers, seed by seed."""
        gains = [
            self._accuracies(teacher, query) - self._accuracies(teacher, "uniform") for teacher in TEACHERS
        ]
        return Estimate.of(np.mean(gains, 0))

    def ensemble(self) -> tuple[Estimate, float]:
        """How much more accurate the mean of the members is than a single one, under flips; and in errors."""
        gains = np.array([run.accuracy.accuracy - run.single for run in self.of(FLIPS, "uniform")])
        error = float(np.std(gains, ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else inf
        mean = float(gains.mean())
        return Estimate.of(gains), mean / error if error else copysign(inf, mean)

    def _accuracies(self, teacher: str, query: str) -> Any:
        return np.array([run.accuracy.accuracy for run in self.of(teacher, query)])


def bars(captions: Findings) -> list[Bar]:
    """The targets on captions."""
    gap = captions.gap(("oracle", "uniform"), ("mistake", "uniform"))
    found = [
        Bar("mistake teacher at least 5 points below oracle, uniform", _points(gap), gap.mean >= LEAST_GAP)
    ]
    for query in QUERIES[1:]:
        gain = captions.gain(query)
        found.append(Bar(f"{query} above uniform, mean of six teachers", _points(gain), gain.low > 0))
    better, errors = captions.ensemble()
    said = f"{_points(better)}, {errors:.1f} standard errors"
    found.append(Bar(f"ensemble mean 2 standard errors above single models, {FLIPS}", said, errors >= 2))
    return found


def report(captions: Findings, others: Sequence[Findings], answers: Findings, one_right: bool) -> Report:
    """Tables and bars.

    Args:
        captions: Those on which the bars are.
        others: Other samplers of captions.
        answers: Those of questions.
        one_right: Whether exactly one of the two answers is right in every pair of questions.
    """
    held = [*bars(captions), Bar("MMVQA-v0: exactly one of two answers is right", str(one_right), one_right)]
    rows = [(bar.what, bar.found, "met" if bar.met else "MISSED") for bar in held]
    everything = [captions, *others, answers]
    return Report(
        met=all(bar.met for bar in held),
        shown=(Table("Bars", ("", "found", ""), rows), *map(_table, everything), *map(_curves, everything)),
        said=[_said(one) for one in everything],
        values={
            "bars": [asdict(bar) for bar in held],
            "runs": [_values(run) for one in everything for run in one.runs],
        },
    )


def _table(found: Findings) -> Table:
    names = dict.fromkeys(run.cell.name for run in found.runs)
    queries = list(dict.fromkeys(run.cell.query for run in found.runs))
    rows = [
        (
            name,
            *(_plain(found.accuracy(name, query)) if found.of(name, query) else "" for query in queries),
            _rate(found.of(name, "uniform"), lambda run: run.ties),
            _rate(found.of(name, "uniform"), lambda run: run.skips),
        )
        for name in names
    ]
    return Table(f"Held-out accuracy, {found.sampler}", ("teacher", *queries, "ties", "skips"), rows)


def _curves(found: Findings) -> Table:
    """The accuracy after each round, of the oracle and of the mistake teacher."""
    rows = []
    for name in ("oracle", "mistake"):
        for query in QUERIES:
            runs = found.of(name, query)
            if runs:
                curve = np.mean([run.curve for run in runs], 0)
                rows.append((name, query, *(f"{value:.3f}" for value in curve)))
    rounds = len(found.runs[0].curve)
    heads = ("teacher", "query", *(f"round {number}" for number in range(1, rounds + 1)))
    return Table(f"Accuracy after each round, {found.sampler}", heads, rows)


def _said(found: Findings) -> str:
    one = [run.accuracy for run in found.runs]
    ties = np.mean([accuracy.tie_rate for accuracy in one])
    seeds = len({run.seed for run in found.runs})
    return (
        f"{found.sampler}: {seeds} seeds, about {np.mean([a.n for a in one]):.0f} held-out pairs each, "
        f"{ties:.1%} of the held-out pairs are exact ties of utility and left out"
    )


def _values(run: Run) -> dict[str, Any]:
    return {
        "teacher": run.cell.name,
        "query": run.cell.query,
        "members": run.cell.members,
        "seed": run.seed,
        **{f"held_out_{name}": value for name, value in asdict(run.accuracy).items()},
        "curve": list(run.curve),
        "single": run.single,
        "ties": run.ties,
        "skips": run.skips,
    }


def _over(runs: Sequence[Run], value: Callable[[Run], float]) -> Estimate:
    return Estimate.of(np.array([value(run) for run in runs]))


def _rate(runs: Sequence[Run], value: Callable[[Run], float]) -> str:
    return f"{_over(runs, value).mean:.1%}" if runs else ""


def _plain(one: Estimate) -> str:
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _points(one: Estimate) -> str:
    return f"{100 * one.mean:+.1f} points [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
