"""The reward model on answers of a later policy: what is labelled, what is reported, and that it runs."""

from __future__ import annotations

import json

import pytest
import torch
from bench_options import QuickOptions

from benchmarks.later_policy import CONTROL, EDITED, LATER, OWN, SAMPLED, Plan, Turn, bench, labels, report
from feedback.preferences import FIRST, Answers
from feedback.responses import PairAccuracy


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


def turn(later: float, gain: float) -> Turn:
    found = {
        kind: PairAccuracy(accuracy, 0.0, 1.0, 0.1, 100, f"sampler of {kind}")
        for kind, accuracy in ((OWN, 0.8), (EDITED, 0.9), (SAMPLED, 0.7), (LATER, later), (CONTROL, 0.65))
    }
    return Turn(found, (0.5, 0.5 + gain), (0.0, 1.0), (0.6, 0.7), 1.5)


@pytest.mark.parametrize(
    ("later", "gain", "met"),
    [((0.58, 0.6, 0.62), 0.1, True), ((0.45, 0.6, 0.62), 0.1, False), ((0.58, 0.6, 0.62), -0.1, False)],
)
def test_it_is_met_when_the_model_beats_chance_and_the_policy_became_better(
    later: tuple[float, ...], gain: float, met: bool
) -> None:
    found = report([turn(one, gain + 0.001 * i) for i, one in enumerate(later)], Plan())
    assert found.met is met
    assert ("missed" in " ".join(found.said)) is not met
    assert found.values["accuracy"][OWN]["mean"] == pytest.approx(0.8)
    assert "sampler of own: what it was fitted on" in {row[0] for row in found.shown[0].rows}
    json.dumps(found.to_dict())


@pytest.mark.slow
def test_it_runs() -> None:
    found = bench(QuickOptions(), lambda said: None)
    assert [len(table.rows) for table in found.tables()] == [5, 4]
    assert all("sampler" in kind for turn in found.values["turns"] for kind in turn["accuracy"].values())
