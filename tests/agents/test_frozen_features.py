"""Trainers compute what frozen encoders make of an item once, which changes no result."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from agents.encoders.encoded import Encoded
from agents.gradient import GradientTrainer
from agents.learning import learn
from agents.trainers import make_trainer, trainer_class
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.tasks import make_task

DIGITS = {"task": "classify", "dataset": "digits"}
QUESTIONS = {"task": "vqa", "answer": "tokens", "items": 64}
SETTINGS: dict[str, dict[str, Any]] = {
    "rloo": {"demonstrations": 20, "demonstration_steps": 64},
    "ppo": {"kl": 0.1, "value_warmup": 2, "modality_dropout": 0.3},
    "dpo": {"sample_from": "reference", "loss": "kto"},
    "dqn": {"learning_starts": 32, "batch": 16},
    "sft": {"items": 60, "batch": 32},
}


def trainer_of(algo: str, task: dict[str, Any], trainable: str = "none", **settings: Any) -> Any:
    envs = MultimodalVectorEnv(8, make_task(**task), feedback="truth")
    kind: Any = trainer_class(algo)
    about = {"features": 16, "hidden": 16, "trainable": trainable}
    return make_trainer(algo, envs, settings=kind.Settings(**settings), **about)


def without_caches(trainer: GradientTrainer) -> GradientTrainer:
    trainer.prepared = lambda context, item: trainer.augmented(context)  # type: ignore[method-assign]
    return trainer


def rows_of(trainer: GradientTrainer, key: str) -> list[int]:
    """How many rows the encoder of an entry is given, call by call."""
    rows: list[int] = []
    encoder = trainer.model.context_encoder.fused.encoders[key]
    encoder.register_forward_hook(lambda module, given, made: rows.append(len(given[0])))
    return rows


def scores(trainer: GradientTrainer) -> list[float]:
    return [score for point in trainer.curve.points for score in (point.reward, point.utility)]


@pytest.mark.parametrize("task", [DIGITS, QUESTIONS], ids=["digits", "questions"])
@pytest.mark.parametrize("algo", SETTINGS)
def test_results_are_those_of_a_training_without(algo: str, task: dict[str, Any]) -> None:
    cached = trainer_of(algo, task, **SETTINGS[algo])
    plain = without_caches(trainer_of(algo, task, **SETTINGS[algo]))
    for trainer in (cached, plain):
        learn(trainer, 240)
    assert cached.features.caches.keys() == cached.model.context_encoder.fused.encoders.keys()
    assert scores(cached) == pytest.approx(scores(plain), abs=1e-6, nan_ok=True)
    for name, weight in cached.model.state_dict().items():
        torch.testing.assert_close(weight, plain.model.state_dict()[name], atol=1e-5, rtol=1e-4, msg=name)


def test_an_item_is_encoded_once() -> None:
    trainer = trainer_of("sft", DIGITS, items=32, batch=16, probes=0)
    rows = rows_of(trainer, "image")
    learn(trainer, 320)
    assert rows == [16, 16]


def context_of(trainer: GradientTrainer) -> dict[str, bool]:
    """Which entries a trainer takes from caches."""
    trainer.begin(8)
    prompts = trainer.engine.prompts()
    found = trainer.prepared(prompts.context, prompts.item)
    return {key: isinstance(found[key], Encoded) for key in trainer.model.context_encoder.fused.encoders}


def test_encoders_that_are_trained_are_not_cached() -> None:
    assert context_of(trainer_of("rloo", QUESTIONS)) == {"image": True, "question": True}
    for how in ("all", "last:1"):
        assert not any(context_of(trainer_of("rloo", QUESTIONS, how)).values())
    encoders = {"question": {"trainable": "none"}}
    envs = MultimodalVectorEnv(8, make_task(**QUESTIONS), feedback="truth")
    some: Any = make_trainer("rloo", envs, features=16, hidden=16, encoders=encoders)
    assert context_of(some) == {"image": False, "question": True}


def test_shifted_pictures_are_not_cached() -> None:
    assert context_of(trainer_of("rloo", QUESTIONS, shift=2)) == {"image": False, "question": True}


def test_missing_entries_are_cached_whole() -> None:
    """Only their presence is drawn, and their tokens stay."""
    trainer = trainer_of("rloo", QUESTIONS, modality_dropout=0.5)
    assert context_of(trainer) == {"image": True, "question": True}
    prompts = trainer.engine.prompts()
    changed = trainer.augmented(prompts.context)
    entries = trainer.model.context_encoder.fused.encoded(trainer.prepared(prompts.context, prompts.item))
    for key in ("image", "question"):
        present: Tensor = entries[key].present
        assert torch.equal(present, changed[f"{key}_present"].flatten() > 0)
        assert 0 < present.sum() < len(present)


def test_loaded_weights_empty_the_caches() -> None:
    trainer, other = (trainer_of("rloo", DIGITS) for _ in range(2))
    context_of(trainer)
    context_of(other)
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.mul_(0.5)
    trainer.load_state_dict(other.state_dict())
    prompts = trainer.engine.prompts()
    given = trainer.model.encode(trainer.prepared(prompts.context, prompts.item))
    torch.testing.assert_close(given.pooled, trainer.model.encode(prompts.context).pooled)
