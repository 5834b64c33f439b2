"""Label efficiency: the quick way from end to end, and what bars are made of."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from bench_options import QuickOptions

from agents.policy import ResponsePolicy
from benchmarks.label_efficiency import ID, bench
from benchmarks.label_efficiency.crowds import Crowd, aggregate
from benchmarks.label_efficiency.report import report
from benchmarks.label_efficiency.runs import JOINT, MIX, PLAIN, Plan, Run, encoded
from feedback.active_learning import draw_pairs
from feedback.responses import Edits, PairAccuracy
from feedback.reward_models.model import ENCODED
from mm_envs.tasks import CONFIGURATIONS, make_task


def test_everything_runs_and_is_reported_as_json() -> None:
    told: list[str] = []
    found = bench(QuickOptions(), told.append).to_dict()
    assert len(found["tables"][0]["rows"]) == 6
    assert len(json.loads(json.dumps(found))["values"]["runs"]) == 2
    assert told


def _run(joint: float, plain: float, mix: float, skill: float) -> Run:
    values = {(JOINT, 10): joint, (PLAIN, 10): 0.5, (MIX, 10): mix, (PLAIN, 50): plain, (MIX, 50): 0.7}
    values[JOINT, 50] = 0.9
    each = {key: PairAccuracy(value, 0.0, 1.0, 0.1, 100, "by hand") for key, value in values.items()}
    known = (0.9, 0.5)
    return Run(each, each[MIX, 50], {10: skill, 50: skill}, known, {10: known, 50: known})


def _met(*runs: Run) -> list[bool]:
    crowds = [Crowd(0.8, 0.9, 0.97, 0.2), Crowd(0.8, 0.91, 0.97, 0.2)]
    found = report(Plan(len(runs), few=10, many=50), runs, crowds, 5)
    return [bar["met"] for bar in found.values["bars"]]


def test_bars_are_about_differences_within_a_seed() -> None:
    good = [_run(0.81, 0.80, 0.79, 0.98), _run(0.71, 0.71, 0.69, 0.98)]
    assert _met(*good) == [True] * 6
    # As good on average, but not beyond the noise between seeds.
    assert _met(good[0], _run(0.70, 0.72, 0.72, 0.98))[:2] == [False, False]
    assert _met(*(dataclasses.replace(run, correlation={10: 0.95, 50: 0.96}) for run in good)) == [
        True, True, True, False, True, True,
    ]  # fmt: skip


def test_one_item_is_encoded_once() -> None:
    task = make_task(**CONFIGURATIONS[ID])
    pairs = draw_pairs(ID, Edits(task), 8, items=8)
    policy = ResponsePolicy(task, 16, 16)
    context = encoded(policy, pairs).prompts.context[ENCODED]
    torch.testing.assert_close(context, policy.encode(pairs.prompts.context))
    assert len(context.unique(dim=0)) == len(pairs.prompts.item.unique()) < len(pairs)


@pytest.mark.parametrize("seed", [0, 1])
def test_dawid_skene_beats_the_majority_on_captions(seed: int) -> None:
    task = make_task(**CONFIGURATIONS[ID])
    found = aggregate(task, Edits(task), 400, 5, seed)
    assert found.dawid_skene > found.majority
    assert found.correlation > 0.9
