"""The reward model on answers of a later policy: labels, tables, and that it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.experiment import Context
from benchmarks.experiments.later_policy import (
    CONTROL,
    EDITED,
    EXPERIMENT,
    LATER,
    OWN,
    SAMPLED,
    accuracy_table,
    labels,
    policy_table,
)
from feedback.preferences import FIRST, Answers


def test_labels_name_the_better_answer_of_every_pair_that_is_no_tie() -> None:
    utility = torch.tensor([[0.5, 0.5, 0.1], [0.0, 0.9, 0.3]])
    answers = Answers.of({"image": torch.zeros(2, 1)}, torch.zeros(2, 3, 4, dtype=torch.int64))
    pairs = labels(answers, utility).pairs
    better = torch.where(pairs.choice == FIRST, pairs.first, pairs.second)
    worse = torch.where(pairs.choice == FIRST, pairs.second, pairs.first)
    assert sorted(zip(better.tolist(), worse.tolist(), strict=True)) == [
        (0, 2),
        (1, 2),
        (4, 3),
        (4, 5),
        (5, 3),
    ]


def result(later: float, gain: float) -> dict[str, Any]:
    accuracies = {OWN: 0.8, EDITED: 0.9, SAMPLED: 0.7, LATER: later, CONTROL: 0.65}
    found = {
        kind: {"accuracy": value, "tie_rate": 0.1, "n": 100, "sampler": f"sampler of {kind}"}
        for kind, value in accuracies.items()
    }
    return {
        "accuracy": found,
        "utility": [0.5, 0.5 + gain],
        "reward": [0.0, 1.0],
        "greedy": [0.6, 0.7],
        "kl": 1.5,
    }


def test_tables_compare_within_a_seed() -> None:
    results = [result(0.60, 0.1), result(0.62, 0.1)]
    rows = {row[0]: row for row in accuracy_table(results).rows}
    assert rows["sampler of own: what it was fitted on"][1:5] == ("0.800 [0.800, 0.800]", "2", "200", "10.0%")
    assert rows["sampler of later"][-1].startswith("0.040 [")
    assert policy_table(results).rows[0][-1] == "0.100 [0.100, 0.100]"


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    findings = EXPERIMENT.run(tmp_path, Context(), quick=True)
    assert [len(table.rows) for table in EXPERIMENT.report(findings, "").tables] == [5, 4]
