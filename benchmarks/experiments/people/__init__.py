"""Metrics, reward models and reliability on judgements of real people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.captions import data
from benchmarks.experiments.people import ceilings
from benchmarks.experiments.people.captions import labelled_captions
from benchmarks.experiments.people.emotions import (
    EMOTIONS,
    MODALITIES,
    PUBLISHED,
    WAYS,
    all_votes,
    half_votes,
)
from benchmarks.experiments.people.features import METRICS
from benchmarks.experiments.people.labels import SETS
from benchmarks.experiments.people.learned import MEANING, READERS
from benchmarks.experiments.people.published import same_part
from benchmarks.report import Table
from mm_envs.statistics import Interval


def positions(context: Context, seed: int) -> dict[str, Any]:
    """The four votes of AudioCaps-Eval by position."""
    pairs = data.fense(context.folder("fense_audiocaps_eval"), ties=True)
    found = ceilings.by_position(pairs, np.random.default_rng(seed))
    return {
        "alpha": found.alpha,
        "skill": found.skill.tolist(),
        "agreement": [asdict(one) for one in found.agreement],
    }


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Captions, votes by position, and votes on emotions."""
    lines = [line for one in findings["labelled_captions"] for line in one.result]
    (votes,) = (one.result for one in findings["positions"])
    (whole,) = (one.result for one in findings["all_votes"])
    halves = [one.result for one in findings["half_votes"]]
    return [
        metrics_table(lines),
        models_table(lines),
        positions_table(votes),
        modalities_table(whole, halves),
        emotions_table(whole),
        joined_table(halves),
    ]


def metrics_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    """Our metrics."""
    reported, rows = same_part(), []
    for line in lines:
        cells = []
        for metric in METRICS:
            before = reported.get((line["name"], metric))
            other = "" if before is None else f" ({100 * before:.1f})"
            cells.append(f"{100 * line['values'][metric]['value']:.1f}{other}")
        rows.append((line["name"], f"{line['count']:,}", *cells))
    title = "Agreement of metrics with people, in percent: ours (pycocoevalcap on the same judgements)"
    return Table(title, ("judgements", "number", *METRICS), rows)


def models_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    """Reward models compared with the best metric, the best number and a person."""
    rows = []
    for line in lines:
        values, best = line["values"], [line["best_metric"], line["best_number"]]
        gain = _percent(line["gain"][MEANING], "+.1f")
        rows.append(
            (
                line["name"],
                f"{line['pictures']}",
                *(_percent(values[reader]) for reader in READERS),
                str(len(line["seeds"][MEANING])),
                *(f"{name} {100 * values[name]['value']:.1f}" for name in best),
                gain + _verdict(line["gain"][MEANING]),
                _percent(line["gain_over_number"][MEANING], "+.1f"),
                "unknown" if line["person"] is None else f"{100 * line['person']:.1f}",
                "unknown" if line["alpha"] is None else f"{line['alpha']:.2f}",
            )
        )
    columns = ("judgements", "pictures", *READERS, "seeds", "best metric", "best number")
    compared = (f"{MEANING} above best metric", "above best number", "one person", "alpha")
    title = "Agreement of reward models with people on other pictures, in percent [95 % over pictures]"
    return Table(title, (*columns, *compared), rows)


def positions_table(found: Mapping[str, Any]) -> Table:
    """Agreement of each position with the majority of the others."""
    pairs = zip(found["agreement"], found["skill"], strict=True)
    rows = [(str(i + 1), _percent(one), f"{skill:.2f}") for i, (one, skill) in enumerate(pairs)]
    title = f"AudioCaps-Eval: votes by position in the list (alpha {found['alpha']:.2f}), in percent"
    return Table(
        title, ("position", "agrees with the others [95 % over sounds]", "skill (Dawid-Skene)"), rows
    )


def modalities_table(whole: Mapping[str, Any], halves: Sequence[Mapping[str, Any]]) -> Table:
    """Reliability of those who voted on each modality."""
    rows = []
    for i, name in enumerate(MODALITIES):
        found = (_range([one[key][i] for one in halves]) for key in ("skill", "consensus", "held_out"))
        known = f"{100 * PUBLISHED[i]:.1f}", f"{100 * whole['recognition'][i]:.1f}"
        rows.append((name, *known, *found, str(len(halves)), f"{whole['alpha'][i]:.2f}"))
    names = {"by_emotion": "modality and emotion", "by_actor": "modality and actor", "within": "actors"}
    correlations = ", ".join(
        f"{_range([one[key] for one in halves], 1, 2)} over {name}" for key, name in names.items()
    )
    columns = (
        "modality",
        "published",
        "votes as intended",
        "found (half of the votes)",
        "other half, as found",
        "other half, as intended",
        "seeds",
        "alpha",
    )
    title = f"CREMA-D: reliability by modality, in percent (range); found and other half: r = {correlations}"
    return Table(title, columns, rows)


def emotions_table(whole: Mapping[str, Any]) -> Table:
    """Reliability by emotion."""
    rows = []
    for i, name in enumerate(MODALITIES):
        pairs = zip(whole["diagonal"][i], whole["by_emotion"][i], strict=True)
        rows.append((name, *(f"{100 * found:.0f} ({100 * truth:.0f})" for found, truth in pairs)))
    title = "CREMA-D by emotion, in percent: found (all votes as intended)"
    return Table(title, ("modality", *EMOTIONS), rows)


def joined_table(halves: Sequence[Mapping[str, Any]]) -> Table:
    """The intended emotion by every way to join votes."""
    seeds = str(len(halves))
    rows = [(name, _range([one["single"][i] for one in halves]), seeds) for i, name in enumerate(WAYS)]
    title = "CREMA-D: the intended emotion found from half of the votes, in percent (range)"
    return Table(title, ("by", "accuracy", "seeds"), rows)


def _percent(values: Mapping[str, Any], form: str = ".1f") -> str:
    return Interval(**values).format(form, 100)


def _verdict(gain: Mapping[str, Any]) -> str:
    return " (not significant)" if gain["low"] <= 0 <= gain["high"] else ""


def _range(values: Sequence[float], scale: float = 100, digits: int = 1) -> str:
    """The mean, and the lowest and highest of several seeds."""
    mean, low, high = (scale * one for one in (float(np.mean(values)), min(values), max(values)))
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


EXPERIMENT = Experiment(
    "Judgements of real people",
    "Metrics and reward models on five sets of captions that people rated or compared "
    "(Kendall's tau, Pearson's "
    "r or accuracy, as in the literature), and reliability found from votes on acted emotions. Reward models "
    "are tested on pictures whose judgements they were not fitted to (five folds by picture); intervals are "
    "bootstraps over pictures. Reward models are given "
    f"{'; '.join(f'{name}: {given}' for name, given in READERS.items())}. One person is compared with the "
    "others, who are fewer than all people.",
    (
        Grid(
            labelled_captions,
            {"limit": None, "seeds": 3, "resamples": 200, "quick": False},
            {"set": SETS},
            quick={"limit": 240, "seeds": 1, "resamples": 5, "quick": True},
        ),
        Grid(positions),
        Grid(all_votes, {"limit": None}, quick={"limit": 600}),
        Grid(half_votes, {"limit": None}, seeds=range(5), quick={"limit": 600}),
    ),
    tables,
)
