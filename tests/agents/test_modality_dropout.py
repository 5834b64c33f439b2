"""Augmentation: which entries are dropped, and that a policy then copes without them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.augment import drop_modalities
from agents.learning import learn
from agents.on_policy import OnPolicySettings
from agents.policy_gradient import RLOO
from agents.sft import SFT, SFTSettings
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.random import fold, stream
from mm_envs.tasks import make_task

KEYS = ["image", "text", "audio"]
HASHES = fold(stream(0, "test of dropout"), torch.arange(4000))


def presence(rate: float, there: torch.Tensor | None = None) -> torch.Tensor:
    """Which of three entries 4,000 rows are left with, (4000, 3) bool."""
    context = {key: torch.zeros(4000, 2) for key in KEYS}
    if there is not None:
        context |= {f"{key}_present": there[:, i : i + 1] for i, key in enumerate(KEYS)}
    dropped = drop_modalities(context, KEYS, HASHES, rate)
    assert all(dropped[key] is context[key] for key in KEYS)
    assert all(dropped[f"{key}_present"].shape == (4000, 1) for key in KEYS)
    return torch.cat([dropped[f"{key}_present"] for key in KEYS], 1) > 0


@given(st.floats(0.01, 0.99))
def test_no_row_loses_everything(rate: float) -> None:
    assert presence(rate).any(1).all()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_entries_are_dropped_independently_at_the_rate(rate: float) -> None:
    kept = presence(rate)
    # A row of three keeps one of those that would all be dropped: 1 / 3 of rate ** 3 for each.
    expected = rate - rate**3 / 3
    # Four standard errors of 4,000 rows.
    assert ((~kept).float().mean(0) - expected).abs().max() < 4 * (0.25 / 4000) ** 0.5
    both = (~kept[:, 0] & ~kept[:, 1]).float().mean()
    assert abs(both - (rate**2 - rate**3 * 2 / 3)) < 4 * (0.25 / 4000) ** 0.5


def test_what_is_missing_stays_missing_and_the_last_one_stays() -> None:
    there = torch.stack([HASHES & 1, HASHES & 2, HASHES & 4], 1) > 0
    kept = presence(0.8, there.long())
    assert not (kept & ~there).any()
    assert torch.equal(kept.any(1), there.any(1))
    single = there.sum(1) == 1
    assert torch.equal(kept[single], there[single])


def test_a_row_depends_on_its_hash_alone() -> None:
    context = {key: torch.zeros(50, 2) for key in KEYS}
    order = torch.randperm(50)
    whole = drop_modalities(context, KEYS, HASHES[:50], 0.5)
    other = drop_modalities(context, KEYS, HASHES[:50][order], 0.5)
    assert all(torch.equal(whole[f"{key}_present"][order], other[f"{key}_present"]) for key in KEYS)


def test_without_a_rate_nothing_changes() -> None:
    context = {"image": torch.zeros(3, 2)}
    assert drop_modalities(context, ["image"], HASHES[:3], 0.0) == context
    with pytest.raises(ValueError, match=r"rate=1\.0 is not within 0 to below 1"):
        drop_modalities(context, ["image"], HASHES[:3], 1.0)
    with pytest.raises(ValueError, match=r"modality_dropout=-0\.1 is not within 0"):
        SFTSettings(modality_dropout=-0.1)


@pytest.mark.parametrize("algo", ["sft", "rloo"])
def test_trainers_drop_modalities(algo: str) -> None:
    task = make_task("classify", items=64)
    envs = MultimodalVectorEnv(16, task, feedback="truth", group_size=4 if algo == "rloo" else 1)
    sizes = {"features": 16, "hidden": 16, "fusion": "mean"}
    trainer: SFT | RLOO
    if algo == "sft":
        trainer = SFT(algo, envs, SFTSettings(modality_dropout=0.5, batch=16), sizes)
    else:
        trainer = RLOO(algo, envs, OnPolicySettings(modality_dropout=0.5, answers=4), sizes)
    context = {
        "image": torch.zeros(16, 3, 64, 64),
        "text": torch.zeros(16, 2),
        "text_length": torch.ones(16, 1),
    }
    changed = trainer.augmented(context)
    assert {*changed} == {*context, "image_present", "text_present"}
    assert 0 < changed["image_present"].sum() < 16
    assert torch.equal(changed["image_present"], trainer.augmented(context)["image_present"])
    learn(trainer, 64)
    assert not torch.equal(changed["image_present"], trainer.augmented(context)["image_present"])


def test_candidates_that_answers_refer_to_are_not_dropped() -> None:
    task = make_task("retrieve", items=64)
    envs = MultimodalVectorEnv(8, task, feedback="truth")
    trainer = SFT("sft", envs, SFTSettings(modality_dropout=0.5, batch=8), {"features": 16, "hidden": 16})
    batch = trainer.examples.batch(0, 8).context
    changed = trainer.augmented(batch)
    assert "candidates_present" not in changed
    assert (changed["query_present"] == 1).all()
