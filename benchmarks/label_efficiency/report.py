"""The tables and bars of label efficiency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from agents.evaluate import Estimate
from benchmarks.label_efficiency.crowds import Crowd
from benchmarks.label_efficiency.runs import CROWD, JOINT, MIX, PLAIN, Plan, Run
from benchmarks.reports import Bar, Report, Table

LEAST_AT_FEW, LEAST_AT_MANY = 0.90, 0.97
LEAST_GAIN, LEAST_CROWD = 0.05, 0.95


def report(plan: Plan, runs: Sequence[Run], crowds: Sequence[Crowd], votes: int) -> Report:
    """Everything that was found.

    Args:
        plan: What was measured.
        runs: One a seed.
        crowds: One a seed.
        votes: Votes on each pair of the crowds.
    """
    held = [*_of_runs(plan, runs), *_of_crowds(crowds)]
    rows = [(bar.what, bar.found, "met" if bar.met else "MISSED") for bar in held]
    return Report(
        met=all(bar.met for bar in held),
        shown=(Table("Bars", ("", "found", ""), rows), _accuracies(runs), _skills(plan, runs)),
        said=_said(plan, runs, crowds, votes),
        values={
            "bars": [asdict(bar) for bar in held],
            "runs": [_values(run) for run in runs],
            "crowds": [asdict(one) for one in crowds],
        },
    )


def _of_runs(plan: Plan, runs: Sequence[Run]) -> list[Bar]:
    few, many = plan.few, plan.many
    reaches = _gap(runs, (JOINT, few), (PLAIN, many))
    beats = _gap(runs, (JOINT, few), (MIX, few))
    bars = [
        Bar(f"{JOINT}, {few:,} labels, reaches {PLAIN}, {many:,}", _points(reaches), reaches.mean >= 0),
        Bar(f"{JOINT} beats {MIX}, {few:,} labels each", _points(beats), beats.low > 0),
    ]
    for labels, least in ((few, LEAST_AT_FEW), (many, LEAST_AT_MANY)):
        found = _over(runs, lambda run, labels=labels: run.correlation[labels])  # type: ignore[misc]
        what = f"recovered skill correlates at least {least:.2f} with the truth, {labels:,} labels"
        bars.append(Bar(what, _plain(found), found.mean >= least))
    return bars


def _of_crowds(crowds: Sequence[Crowd]) -> list[Bar]:
    gain = Estimate.of(np.array([one.dawid_skene - one.majority for one in crowds]))
    found = Estimate.of(np.array([one.correlation for one in crowds]))
    return [
        Bar("Dawid-Skene at least 5 points above majority", _points(gain), gain.mean >= LEAST_GAIN),
        Bar("its skill correlates at least 0.95 with the truth", _plain(found), found.mean >= LEAST_CROWD),
    ]


def _accuracies(runs: Sequence[Run]) -> Table:
    rows = [("log-probability of the policy", "0", _plain(_over(runs, lambda run: run.untaught.accuracy)))]
    for name, labels in runs[0].accuracy:
        found = _over(runs, lambda run, key=(name, labels): run.accuracy[key].accuracy)  # type: ignore[misc]
        rows.append((name, f"{labels:,}", _plain(found)))
    title = f"Accuracy on held-out pairs, {len(runs)} seeds"
    return Table(title, ("loss", "labels", "accuracy and 95 % interval"), rows)


def _skills(plan: Plan, runs: Sequence[Run]) -> Table:
    """The skill of every annotator, mean over seeds."""
    truth = np.mean([run.skill for run in runs], 0)
    found = [np.mean([run.found[labels] for run in runs], 0) for labels in (plan.few, plan.many)]
    rows = [
        (str(place + 1), *(f"{one[place]:.2f}" for one in (truth, *found))) for place in range(len(truth))
    ]
    heads = ("annotator", "chance to be right", f"e, {plan.few:,} labels", f"e, {plan.many:,} labels")
    return Table("Skill, mean over seeds", heads, rows)


def _said(plan: Plan, runs: Sequence[Run], crowds: Sequence[Crowd], votes: int) -> list[str]:
    one = next(iter(runs[0].accuracy.values()))
    ties = np.mean([next(iter(run.accuracy.values())).tie_rate for run in runs])
    means = [float(np.mean([getattr(crowd, name) for crowd in crowds])) for name in vars(crowds[0])]
    return [
        f"crowd: {CROWD}; one vote a pair; {one.sampler}",
        f"about {one.n:,} held-out pairs a seed; {ties:.1%} are exact ties of utility and left out",
        "all losses have the same model, the same labels and the same stopping rule (on 10 % of the labels), "
        f"and are the mean score of {plan.parts} fits; the {MIX} is told the true share of wrong labels, the "
        f"{JOINT} only who said what; it is fitted twice, the second time from the skills that it found",
        f"{votes} votes a pair: majority {means[0]:.3f}, Dawid-Skene {means[1]:.3f}, Krippendorff's alpha "
        f"{means[3]:.2f}, {len(crowds)} seeds",
    ]


def _values(run: Run) -> dict[str, object]:
    return {
        "accuracy": [
            {"loss": name, "labels": labels, **asdict(found)}
            for (name, labels), found in run.accuracy.items()
        ],
        "untaught": asdict(run.untaught),
        "correlation": {str(labels): value for labels, value in run.correlation.items()},
        "skill": list(run.skill),
        "found": {str(labels): list(value) for labels, value in run.found.items()},
    }


def _gap(runs: Sequence[Run], one: tuple[str, int], other: tuple[str, int]) -> Estimate:
    return _over(runs, lambda run: run.accuracy[one].accuracy - run.accuracy[other].accuracy)


def _over(runs: Sequence[Run], value: Callable[[Run], float]) -> Estimate:
    return Estimate.of(np.array([value(run) for run in runs]))


def _plain(one: Estimate) -> str:
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _points(one: Estimate) -> str:
    return f"{100 * one.mean:+.1f} points [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
