"""Findings on feedback: agreement, skills of annotators, calibration, accuracy over labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from feedback.aggregation import (
    Agreement,
    AnnotatorSkill,
    Votes,
    agreement_of,
    fit_reliability,
    trust_report,
    votes_of,
)
from feedback.calibration import ReliabilityCurve, reliability_curve
from feedback.preferences import FIRST, SECOND, Pairs, Pairwise
from feedback.reports.collected import Collected
from feedback.reports.fit import likelihood_of
from feedback.reports.scored import Scored, scored
from feedback.reward_models import Ensemble, FitConfig, fit

_FOLDS, _TEST = 2, 0.2
# Trust is learned slowly at first: the loss is flat for some epochs.
_PATIENCE = 10


@dataclass(frozen=True)
class Annotator:
    """One annotator; shares without cases are nan.

    Attributes:
        skill: The share of labels that are as perceived, with its interval, and a verdict.
        records: The number of records of all kinds.
        ties: The share of ties among the comparisons.
        skips: The share of skipped ones.
        first: The share of decided comparisons that prefer the answer displayed first.
        seconds: The median latency.
        same: The share of votes of others that agree.
        truth: The share that prefers the answer of higher true utility, equal ones left out.
    """

    skill: AnnotatorSkill
    records: int
    ties: float
    skips: float
    first: float
    seconds: float
    same: float
    truth: float


@dataclass(frozen=True)
class Point:
    """The accuracy of a model that was fitted to some of the labels.

    Attributes:
        labels: How many.
        accuracy: On labels of other items, with both ends of its 95 % interval.
        truth: By true utility, on the same pairs.
    """

    labels: int
    accuracy: tuple[float, float, float]
    truth: tuple[float, float, float]


@dataclass(frozen=True)
class Findings:
    """The content of a report.

    Attributes:
        id: The environment.
        kinds: How many records there are of each kind.
        items: How many items they are about.
        sampler: Where the answers come from.
        agreement: Of annotators with each other.
        annotators: One each.
        scored_by: The model and labels of the calibration, in words.
        calibration: ECE, Brier score and negative log-likelihood.
        reliability: Confidence against accuracy.
        curve: Accuracy over labels.
    """

    id: str
    kinds: dict[str, int]
    items: int
    sampler: str
    agreement: Agreement
    annotators: tuple[Annotator, ...]
    scored_by: str
    calibration: dict[str, float]
    reliability: ReliabilityCurve
    curve: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        bins = {name: value.tolist() for name, value in vars(self.reliability).items()}
        rest = ("id", "kinds", "items", "sampler", "scored_by", "calibration")
        return {
            **{name: getattr(self, name) for name in rest},
            "agreement": asdict(self.agreement),
            "annotators": [_flat(one) for one in self.annotators],
            "reliability": bins,
            "curve": [asdict(one) for one in self.curve],
        }


def findings(
    all_of: Collected,
    model: Ensemble | None = None,
    held_out: Sequence[int] = (),
    points: int = 4,
    epochs: int = 40,
    seed: int = 0,
) -> Findings:
    """The findings on the records of an environment.

    Skills come from two folds: the labels on one half of the items are compared with a model of the other
    half and with the votes of others on the same pair, so that no label is compared with itself.

    Args:
        all_of: The records.
        model: A reward model whose calibration is shown; None: that of the folds.
        held_out: The items of the dataset that the model has not seen.
        points: How many points the learning curve has; 0 for none.
        epochs: Of each fit.
        seed: Of folds and fits.

    Raises:
        ValueError: There are too few comparisons.
    """
    count = len(all_of.items)
    if count < 2 * _FOLDS or not all_of.pairs:
        raise ValueError(
            f"the comparisons of {all_of.id} are on {count} items: a report needs at least {2 * _FOLDS}, "
            "collect more"
        )
    names = sorted({one.annotator for one in all_of.records})
    folds = _folds(all_of, names, epochs, seed)
    shown, scored_by = folds, "models of one half of the items on the labels of the other half"
    if model is not None:
        unseen = all_of.on(set(held_out))
        on = "labels of items that it has not seen" if unseen.pairs else "all labels, fitted ones included"
        shown = scored(model, unseen if unseen.pairs else all_of, names)
        scored_by = f"the model on {on}"
    return Findings(
        all_of.id,
        dict(Counter(one.kind for one in all_of.records)),
        count,
        folds.sampler,
        agreement_of(all_of.pairs),
        _annotators(all_of, folds, names),
        scored_by,
        shown.calibration(),
        reliability_curve(shown.probability, shown.pairs.target),
        _curve(all_of, points, epochs, seed),
    )


# Models -----------------------------------------------------------------------------------------------------


def _fitted(part: Collected, epochs: int, seed: int, names: Sequence[str] | None = None) -> Ensemble:
    labels, config = part.labelled(names), FitConfig(epochs=epochs, patience=_PATIENCE, seed=seed)
    return fit(labels, part.task, config, likelihood=likelihood_of("joint", labels)).model


def _folds(all_of: Collected, names: list[str], epochs: int, seed: int) -> Scored:
    """All comparisons, each scored by a model that has seen neither it nor others on its item."""
    one, other = all_of.split(1 / _FOLDS, seed)
    return Scored.join(
        [
            scored(_fitted(train, epochs, seed, names), test, names)
            for train, test in ((one, other), (other, one))
            if test.pairs and train.records
        ]
    )


def _curve(all_of: Collected, points: int, epochs: int, seed: int) -> tuple[Point, ...]:
    train, test = all_of.split(_TEST, seed)
    if not points or not test.pairs:
        return ()
    found = []
    for count in sorted({max(1, len(train.records) >> step) for step in range(points)}):
        one = scored(_fitted(replace(train, records=train.records[:count]), epochs, seed), test)
        labels, truth = one.accuracy(), one.true_accuracy()
        if labels is not None and truth is not None:
            found.append(Point(count, *((each.accuracy, each.low, each.high) for each in (labels, truth))))
    return tuple(found)


# Annotators -------------------------------------------------------------------------------------------------


def _annotators(all_of: Collected, folds: Scored, names: list[str]) -> tuple[Annotator, ...]:
    votes = votes_of(folds.records, names)
    difference = _with_others(folds.difference, folds.pairs, votes)
    report = trust_report(
        fit_reliability(difference, folds.pairs, len(names)), difference, folds.pairs, names
    )
    same = _same(votes)
    return tuple(
        _annotator(all_of, folds.take(folds.pairs.annotator == number), one, float(same[number]))
        for number, one in enumerate(report.annotators)
    )


def _with_others(difference: Tensor, pairs: Pairs, votes: Votes, steps: int = 20) -> Tensor:
    """Log odds that the first answer is better, by a model and by votes of others on the same pair, (n,)."""
    sign = (pairs.choice == FIRST).to(difference.dtype) - (pairs.choice == SECOND).to(difference.dtype)
    found, people = difference, votes.annotators
    for _ in range(steps):
        own = sign * fit_reliability(found, pairs, people, steps=5).logit.detach()[pairs.annotator]
        total = torch.zeros(votes.items, dtype=own.dtype).index_add(0, votes.item, own)
        found = difference + total[votes.item] - own
    return found


def _same(votes: Votes) -> Tensor:
    """The share of votes of others that agree with each annotator on the same pair; nan without any."""
    counts = votes.counts()
    same = counts[votes.item, votes.label] - 1
    others = counts.sum(1)[votes.item] - 1
    sums = [
        torch.zeros(votes.annotators, dtype=torch.float64).index_add(0, votes.annotator, one)
        for one in (same, others)
    ]
    return sums[0] / sums[1]


def _annotator(all_of: Collected, mine: Scored, one: AnnotatorSkill, same: float) -> Annotator:
    records = [each for each in all_of.records if each.annotator == one.name]
    asked = [each for each in records if isinstance(each, Pairwise)]
    decided = [each for each in asked if each.choice in ("first", "second")]
    shown_first = [(each.choice == "first") == (each.displayed[:1] != (1,)) for each in decided]
    latencies = [each.latency for each in asked if each.latency is not None]
    truth = mine.labels_accuracy() if mine.records else None
    return Annotator(
        one,
        len(records),
        _share([each.choice == "tie" for each in asked]),
        _share([each.choice == "skip" for each in asked]),
        _share(shown_first),
        float(torch.tensor(latencies).median()) if latencies else math.nan,
        same,
        math.nan if truth is None else truth.accuracy,
    )


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else math.nan


def _flat(annotator: Annotator) -> dict[str, Any]:
    values = asdict(annotator)
    return {**values.pop("skill"), **values}
