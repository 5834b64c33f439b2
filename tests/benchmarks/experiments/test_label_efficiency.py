"""Label efficiency: the quick cells, the tables, and what cells are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agents.policy import ResponsePolicy
from benchmarks.experiment import Context
from benchmarks.experiments.label_efficiency import (
    EXPERIMENT,
    ID,
    JOINT,
    MIX,
    PLAIN,
    accuracies,
    aggregate,
    encoded,
)
from benchmarks.experiments.statistics import difference_interval
from feedback.active_learning import draw_pairs
from feedback.responses import Edits
from feedback.reward_models.model import ENCODED
from mm_envs.tasks import CONFIGURATIONS, make_task


def test_everything_runs_and_is_reported(tmp_path: Path) -> None:
    findings = EXPERIMENT.run(tmp_path, Context(), quick=True)
    assert [len(table.rows) for table in EXPERIMENT.report(findings, "").tables] == [6, 13, 4]


def run(joint: float, plain: float, mix: float) -> dict[str, Any]:
    values = [(PLAIN, 10, 0.5), (MIX, 10, mix), (JOINT, 10, joint), (PLAIN, 50, plain), (JOINT, 50, 0.9)]
    accuracy = [
        {"loss": loss, "labels": labels, "accuracy": value, "n": 100, "sampler": "by hand"}
        for loss, labels, value in values
    ]
    return {"accuracy": accuracy}


def test_differences_are_taken_within_a_seed() -> None:
    runs = [run(0.81, 0.80, 0.79), run(0.71, 0.71, 0.69)]
    gaps = {row[:2]: row[-1] for row in accuracies(runs, 10, 50).rows}
    assert gaps[PLAIN, "50"] == difference_interval([0.81, 0.71], [0.80, 0.71]).format("+.1f", 100)
    assert gaps[MIX, "10"].startswith("+2.0 [+2.0")
    assert gaps[JOINT, "50"] == ""


def test_one_item_is_encoded_once() -> None:
    task = make_task(**CONFIGURATIONS[ID])
    pairs = draw_pairs(ID, Edits(task), 8, items=8)
    policy = ResponsePolicy(task, 16, 16)
    context = encoded(policy, pairs).prompts.context[ENCODED + "pooled"]
    torch.testing.assert_close(context, policy.encode(pairs.prompts.context).pooled)
    assert len(context.unique(dim=0)) == len(pairs.prompts.item.unique()) < len(pairs)


@pytest.mark.parametrize("seed", [0, 1])
def test_dawid_skene_beats_the_majority_on_captions(seed: int) -> None:
    policy = {"epochs": 1, "items": 64, "features": 16}
    found = aggregate(Context(), seed, 400, 5, policy)
    assert found["dawid_skene"] > found["majority"]
    assert found["correlation"] > 0.9
