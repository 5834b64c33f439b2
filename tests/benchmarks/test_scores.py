"""Policies on held-out items: the blind policy scores 0, and some items can be scored."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from agents.baselines import baseline_policy
from benchmarks.scores import held_out
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.tasks import CONFIGURATIONS, make_task


@pytest.mark.parametrize("id", CONFIGURATIONS)
def test_the_blind_policy_scores_0_below_the_oracle(id: str) -> None:
    task = make_task(**CONFIGURATIONS[id])
    envs = MultimodalVectorEnv(1, task, split="test", feedback="truth")
    found = held_out(task, baseline_policy(envs, "blind"), 16)
    assert found.score() == pytest.approx(0.0)
    assert found.items.tolist() == list(task.dataset.range("test")[:16])
    assert found.oracle.mean() > found.utility.mean()
    assert replace(found, utility=found.oracle).exact() == 1.0


def test_some_of_the_items_have_a_score_of_their_own() -> None:
    task = make_task("vqa")
    envs = MultimodalVectorEnv(64, task, split="test", feedback="truth")
    found = held_out(task, baseline_policy(envs, "random"), 64)
    kind = task.batch(found.items, ["kind"])["kind"].numpy()
    which = kind == kind[0]
    means = [float(torch.from_numpy(one[which]).mean()) for one in (found.utility, found.blind, found.oracle)]
    assert found.score(which) == pytest.approx((means[0] - means[1]) / (means[2] - means[1]))
