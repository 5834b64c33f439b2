"""Reward models fitted to the records of a store, tested on items that were held out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agents.policy import ResponsePolicy
from feedback.aggregation import Reliability
from feedback.losses import Likelihood, PairLikelihood
from feedback.preferences import Labelled
from feedback.reports.collected import Collected
from feedback.reports.scored import Scored, scored
from feedback.reward_models import FitConfig, Fitted, fit, save

SUMMARY = "fit.json"
LOSSES = ("bradley_terry", "joint", "noise_mix", "label_smoothing", "margin", "rao_kupper", "davidson")


def fit_collected(
    all_of: Collected,
    out: Path,
    config: FitConfig,
    loss: str = "bradley_terry",
    initial: ResponsePolicy | None = None,
    held_out: float = 0.1,
) -> dict[str, Any]:
    """Fits an ensemble to records and writes its folder with a summary, which is returned as JSON values.

    Args:
        all_of: The records.
        out: The folder to write to; it is there.
        config: The fit.
        loss: The loss of pairs, one of ``LOSSES``.
        initial: A policy from which the members start.
        held_out: The share of the items whose labels test the model.
    """
    train, test = all_of.split(held_out, config.seed)
    labels = train.labelled()
    fitted = fit(labels, all_of.task, config, initial=initial, likelihood=likelihood_of(loss, labels))
    save(fitted.model, out, fitted.records)
    summary = {
        "id": all_of.id,
        "set": all_of.arguments,
        "out": str(out),
        "loss": loss,
        "members": config.members,
        "records": {"fitted": len(train.records), "held_out": len(test.records)},
        "epochs": [len(one) for one in fitted.history],
        "temperature": float(fitted.model.temperature),
        "held_out": _measured(scored(fitted.model, test)) if test.pairs else None,
        "skill": _skill(fitted, labels),
        "held_out_items": test.items,
    }
    (out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def held_out_items(folder: Path) -> list[int]:
    """The items of the dataset that a model was not fitted to; none if its folder does not say."""
    try:
        items = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["held_out_items"]
        return [int(one) for one in items]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def likelihood_of(loss: str, labelled: Labelled) -> nn.Module:
    """The likelihood of labels under a loss of ``LOSSES``."""
    labels, annotators = sum(map(len, labelled.labels)), len(labelled.annotators)
    if loss == "joint":
        reliability = Reliability(annotators, labels=labels)
        return Likelihood(reliability, annotators=annotators, labels=labels)
    ties = loss in ("rao_kupper", "davidson")
    return Likelihood(PairLikelihood(ties=loss) if ties else PairLikelihood(loss), labels=labels)


def _skill(fitted: Fitted, labelled: Labelled) -> dict[str, float] | None:
    """How often each annotator labels what they perceive, as the joint loss learned it."""
    pairs = [getattr(one, "pairs", None) for one in fitted.likelihoods]
    skills = [one.skill for one in pairs if isinstance(one, Reliability)]
    if not skills:
        return None
    return dict(zip(labelled.annotators, torch.stack(skills).mean(0).tolist(), strict=True))


def _measured(test: Scored) -> dict[str, Any]:
    """Accuracy and calibration on labels, and accuracy on the truth, as JSON values."""
    labels, truth = test.accuracy(), test.true_accuracy()
    return {
        "labels": None if labels is None else asdict(labels),
        "truth": None if truth is None else asdict(truth),
        **test.calibration(),
    }
