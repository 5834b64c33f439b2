"""What a report on feedback says: agreement, skills, calibration, and what more labels would bring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from feedback.aggregation import (
    AnnotatorSkill,
    Reliability,
    Votes,
    fit_reliability,
    krippendorff_alpha,
    majority,
    trust_report,
)
from feedback.calibration import ReliabilityCurve, reliability_curve
from feedback.losses import Likelihood
from feedback.preferences import FIRST, SECOND, Labelled, Pairs, Pairwise
from feedback.reward_models import Ensemble, FitConfig, fit
from mm_envs.cli.feedback.judged import Judged, Part, judged, part_of, parted
from mm_envs.cli.feedback.source import Collected

_FOLDS, _TEST = 2, 0.2
# Trust is learnt slowly at first: the loss stands still for some epochs.
_PATIENCE = 10
_VALUES = {"first": 0, "second": 1, "tie": 2}


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree on pairs that several of them judged.

    Attributes:
        shared: How many pairs have at least two votes.
        alpha: Krippendorff's alpha over first, second and tie; nan if no pair is shared.
        majority: The share of the votes on shared pairs that are those of the majority; nan likewise.
        tied: The share of the shared pairs without a majority; nan likewise.
    """

    shared: int
    alpha: float
    majority: float
    tied: float


@dataclass(frozen=True)
class Voice:
    """One annotator.

    Attributes:
        skill: How often they say what they see, with its interval, and a verdict.
        records: All that they said, of whatever kind.
        ties: The share of ties among their comparisons.
        skips: The share of skipped ones.
        first: How often they prefer what is displayed first, of those that they decided.
        seconds: The median latency; nan if nobody looked.
        same: How often others say the same; nan if no pair is shared.
        truth: How often they prefer the answer of higher true utility, equal ones left out; nan without any.
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
    """How right a model is that learnt from some of the labels.

    Attributes:
        labels: From how many.
        accuracy: On the labels of items that it has not seen, with both ends of its 95 % interval.
        truth: By true utility, on the same pairs.
    """

    labels: int
    accuracy: tuple[float, float, float]
    truth: tuple[float, float, float]


@dataclass(frozen=True)
class Findings:
    """All that a report says.

    Attributes:
        id: The environment.
        kinds: How many records there are of each kind.
        items: How many items they speak of.
        sampler: Where the answers come from.
        agreement: Of annotators with each other.
        voices: One for each annotator.
        scored_by: What calibration speaks of, in words.
        calibration: ECE, Brier score and negative log-likelihood.
        reliability: Confidence against accuracy.
        curve: Accuracy over labels.
    """

    id: str
    kinds: dict[str, int]
    items: int
    sampler: str
    agreement: Agreement
    voices: tuple[Voice, ...]
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
            "annotators": [_flat(one) for one in self.voices],
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
    """Everything that a report says of the records of an environment.

    Skills come from two folds: the labels on one half of the items are judged by a model of the other half,
    and by what others say of the same pair, so that no label speaks for itself.

    Args:
        all_of: The records.
        model: A reward model whose calibration is shown; None: that of the folds.
        held_out: The items of the dataset that the model has not seen.
        points: How many points the learning curve has; 0 for none.
        epochs: Of each fit.
        seed: Of folds and fits.

    Raises:
        ValueError: There are no comparisons, or all are of one item.
    """
    whole = Part(all_of.task, all_of.records, all_of.places)
    if len(set(all_of.places.values())) < 2 * _FOLDS or not whole.pairs:
        raise ValueError(
            f"the comparisons of {all_of.id} speak of {len(set(all_of.places.values()))} items: a report "
            f"needs at least {2 * _FOLDS}, collect more"
        )
    names = sorted({one.annotator for one in all_of.records})
    folds = _folds(all_of, names, epochs, seed)
    shown, said = folds, "models of one half of the items on the labels of the other half"
    if model is not None:
        unseen = part_of(all_of, set(held_out), inside=True)
        if unseen.pairs:
            shown, said = judged(model, unseen, names), "the model on labels of items that it has not seen"
        else:
            shown, said = (
                judged(model, whole, names),
                "the model on all labels, those it learnt from included",
            )
    return Findings(
        all_of.id,
        _counts([one.kind for one in all_of.records]),
        len(set(all_of.places.values())),
        folds.sampler,
        _agreement(whole.pairs),
        _voices(all_of, folds, names),
        said,
        shown.calibration(),
        reliability_curve(shown.probability, shown.target),
        _curve(all_of, points, epochs, seed),
    )


# Models -----------------------------------------------------------------------------------------------------


def _fitted(labelled: Labelled, all_of: Collected, epochs: int, seed: int) -> Ensemble:
    labels, people = sum(map(len, labelled.labels)), len(labelled.annotators)
    likelihood = Likelihood(Reliability(people, labels=labels), annotators=people, labels=labels)
    return fit(
        labelled, all_of.task, FitConfig(epochs=epochs, patience=_PATIENCE, seed=seed), likelihood=likelihood
    ).model


def _folds(all_of: Collected, names: list[str], epochs: int, seed: int) -> Judged:
    """All comparisons, each judged by a model that has seen neither it nor others on its item."""
    one, other = parted(all_of, 1 / _FOLDS, seed)
    parts = []
    for learnt, rest in ((one, other), (other, one)):
        if rest.pairs and learnt.records:
            parts.append(judged(_fitted(learnt.labelled(names), all_of, epochs, seed), rest, names))
    return Judged.joined(parts)


def _curve(all_of: Collected, points: int, epochs: int, seed: int) -> tuple[Point, ...]:
    if not points:
        return ()
    train, test = parted(all_of, _TEST, seed)
    if not test.pairs:
        return ()
    found = []
    for count in sorted({max(1, len(train.records) >> step) for step in range(points)}):
        some = Part(train.task, train.records[:count], train.places)
        one = judged(_fitted(some.labelled(), all_of, epochs, seed), test)
        labels, truth = one.accuracy(), one.true_accuracy()
        if labels is not None and truth is not None:
            both = ((each.accuracy, each.low, each.high) for each in (labels, truth))
            found.append(Point(count, *both))
    return tuple(found)


# Annotators -------------------------------------------------------------------------------------------------


def _votes(pairs: Sequence[Pairwise], names: list[str]) -> Votes:
    queries: dict[str, int] = {}
    rows = [
        (queries.setdefault(one.query, len(queries)), names.index(one.annotator), _VALUES[one.choice])
        for one in pairs
    ]
    item, annotator, label = torch.tensor(rows).unbind(1)
    return Votes(item, annotator, label, len(queries), len(names), len(_VALUES))


def _agreement(pairs: Sequence[Pairwise]) -> Agreement:
    votes = _votes(pairs, sorted({one.annotator for one in pairs}))
    counts = votes.counts()
    shared = counts.sum(1) >= 2
    if not bool(shared.any()):
        return Agreement(0, math.nan, math.nan, math.nan)
    most = majority(votes)
    with_it = float(counts.amax(1)[shared].sum() / counts.sum(1)[shared].sum())
    tied = float(most.tied[shared].double().mean())
    return Agreement(int(shared.sum()), krippendorff_alpha(votes.item, votes.label), with_it, tied)


def _voices(all_of: Collected, folds: Judged, names: list[str]) -> tuple[Voice, ...]:
    difference = (folds.first - folds.second) / folds.temperature
    votes = _votes(folds.records, names)
    difference = _with_others(difference, folds.pairs, votes)
    report = trust_report(
        fit_reliability(difference, folds.pairs, len(names)), difference, folds.pairs, names
    )
    same = _same(votes)
    return tuple(
        _voice(all_of, folds.take(folds.pairs.annotator == number), one, float(same[number]))
        for number, one in enumerate(report.annotators)
    )


def _with_others(difference: Tensor, pairs: Pairs, votes: Votes, steps: int = 20) -> Tensor:
    """Log odds that the first answer is better, by a model and by what others say of the same pair, (n,).

    Votes are independent given which one is better (Dawid and Skene, 1979, with one skill each), so the votes
    of others add up to sum of s_u log(e_u / (1 - e_u)), where s is 1 for the first answer and -1 for the
    second. Skills and log odds are found in turns.
    """
    sign = (pairs.choice == FIRST).to(difference.dtype) - (pairs.choice == SECOND).to(difference.dtype)
    found, people = difference, votes.annotators
    for _ in range(steps):
        said = sign * fit_reliability(found, pairs, people, steps=5).logit.detach()[pairs.annotator]
        total = torch.zeros(votes.items, dtype=said.dtype).index_add(0, votes.item, said)
        found = difference + total[votes.item] - said
    return found


def _same(votes: Votes) -> Tensor:
    """How often somebody else says the same as each annotator on the same pair; nan where nobody did."""
    counts = votes.counts()
    same = counts[votes.item, votes.label] - 1
    others = counts.sum(1)[votes.item] - 1
    sums = [
        torch.zeros(votes.annotators, dtype=torch.float64).index_add(0, votes.annotator, one)
        for one in (same, others)
    ]
    return sums[0] / sums[1]


def _voice(all_of: Collected, mine: Judged, one: AnnotatorSkill, same: float) -> Voice:
    records = [each for each in all_of.records if each.annotator == one.name]
    asked = [each for each in records if isinstance(each, Pairwise)]
    decided = [each for each in asked if each.choice in ("first", "second")]
    shown_first = [(each.choice == "first") == (each.displayed[:1] != (1,)) for each in decided]
    latencies = [each.latency for each in asked if each.latency is not None]
    truth = mine.labels_accuracy() if mine.records else None
    return Voice(
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


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: values.count(value) for value in dict.fromkeys(values)}


def _flat(voice: Voice) -> dict[str, Any]:
    values = asdict(voice)
    return {**values.pop("skill"), **values}
