"""The speed experiment runs every cell, and its tables show them; speed itself is not tested."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.baselines.plain_env import plain_items
from benchmarks.experiment import Context, Finding
from benchmarks.experiments.baselines.coco_env import coco_scorer
from benchmarks.experiments.baselines.plain_choice import PlainChoiceEnv, plain_choices
from benchmarks.experiments.engine_speed import EXPERIMENT, IDS
from mm_envs.engine.vector import MultimodalVectorEnv


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    folder: Path = tmp_path_factory.mktemp("cells")
    return EXPERIMENT.run(folder, Context(), quick=True)


def test_every_cell_has_its_rows(findings: list[Finding]) -> None:
    peers, single, learned = EXPERIMENT.report(findings, "a command").tables
    # Captions are timed with and without reading final_obs, each with fresh observations and live buffers.
    assert [row[0] for row in peers.rows] == ["caption"] * 4 + ["vqa"] * 2 + ["classify"] * 2 + [
        "caption, CIDEr-D"
    ]
    assert len(single.rows) == 3 * len(IDS)
    assert len(learned.rows) == len(IDS)


def test_shares_of_the_time_add_up(findings: list[Finding]) -> None:
    found = [one.result["shares"] for one in findings if "learned" in one.cell.function]
    assert all(abs(sum(shares.values()) - 1) < 1e-6 and min(shares.values()) >= 0 for shares in found)


@pytest.mark.parametrize("task", ["vqa", "classify"])
def test_the_plain_twin_is_the_same_task(task: str) -> None:
    items = plain_choices(task, items=64)
    twin = PlainChoiceEnv(items)
    envs = MultimodalVectorEnv(1, task, feedback="truth", items=64)
    for seed in range(20):
        seen, _ = twin.reset(seed=seed)
        first = items.task.dataset.range("train").start
        given, _ = envs.reset(seed=0, options={"items": [first + twin._item]})
        assert all((given[key][0].numpy() == value).all() for key, value in seen.items())
        choice = seed % items.task.action_space.n  # type: ignore[attr-defined]
        utility = envs.step(torch.tensor([choice]))[4]["final_info"]["utility"].item()
        assert twin.step(choice)[4]["utility"] == utility


def test_the_public_scorer_gives_our_rewards() -> None:
    pytest.importorskip("pycocoevalcap")
    items = plain_items(items=64)
    score = coco_scorer(items)
    arguments = {"feedback": "cider_d", "feedback_arguments": {"references": None}, "items": 64}
    envs = MultimodalVectorEnv(64, "caption", **arguments)  # type: ignore[arg-type]
    first, last = items.first, items.first + len(items.scenes) - 1
    envs.reset(seed=0, options={"items": torch.arange(first, first + 64).clamp(max=last)})
    best, ended = envs.task.oracle(envs.reference()), torch.zeros(64, dtype=torch.bool)
    while not bool(ended.all()):
        item = envs._rows.item_index() - first
        _, reward, terminated, _, info = envs.step(envs.action_at(best))
        for row in (terminated & ~ended).nonzero()[:, 0].tolist():
            caption = items.vocabulary.decode(info["final_info"]["response"][row])
            assert reward[row].item() == pytest.approx(score(caption, int(item[row])) / 10, abs=1e-6)
        ended |= terminated
