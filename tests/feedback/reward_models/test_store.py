"""Saved models: the same scores again, and every mismatch refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from reward_answers import SMALL, answers, asked, labelled

from feedback.preferences import Answers
from feedback.reward_models import (
    Ensemble,
    FitConfig,
    ModelConfig,
    ModelSpaces,
    RewardModel,
    fit,
    load,
    save,
)
from mm_envs.spaces import Vector
from mm_envs.tasks import CONFIGURATIONS, make_task

WORDS = "MMCaption-v0"


def small(name: str, shared: str = "nothing") -> Ensemble:
    task, table = answers(name)
    model = Ensemble([RewardModel(task, SMALL, seed=i) for i in range(2)], "uwo", 0.25, shared)
    model.normalise_on(table)
    model.temperature.fill_(0.1)
    return model


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_loaded_scores_as_what_was_saved_bit_for_bit(name: str, tmp_path: Path) -> None:
    task, table = answers(name)
    model = small(name)
    again = load(save(model, tmp_path / "model", "abc"), task)
    assert torch.equal(again(table), model(table))
    assert torch.equal(again.temperature, model.temperature)
    assert (again.aggregation, again.penalty, again.shared) == ("uwo", 0.25, "nothing")
    assert (again.reference_size, again.reference_digest) == (model.reference_size, model.reference_digest)
    assert json.loads((tmp_path / "model" / "config.json").read_text())["records"] == "abc"
    assert not any(one.requires_grad for one in again.parameters())


@pytest.mark.parametrize(
    ("shared", "encoders", "readers"), [("context", 1, 2), ("trunk", 1, 1), ("nothing", 2, 2)]
)
def test_what_members_share_is_stored_once(shared: str, encoders: int, readers: int, tmp_path: Path) -> None:
    from safetensors import safe_open

    task, table = answers(WORDS)
    model = small(WORDS, shared)
    again = load(save(model, tmp_path), task)
    assert torch.equal(again(table), model(table))
    assert len({id(member.context_encoder) for member in again.members}) == encoders
    assert len({id(member.reader) for member in again.members}) == readers
    with safe_open(str(tmp_path / "weights.safetensors"), "pt") as file:
        names = list(file.keys())
    assert sum(name.endswith("context_encoder.fused.fuse.net.0.weight") for name in names) == encoders
    assert sum(name.endswith("decoder.out.weight") for name in names) == readers


def test_a_fit_is_saved_with_the_hash_of_its_records(tmp_path: Path) -> None:
    task, table = labelled(WORDS)
    fitted = fit(table, task, FitConfig(model=SMALL, epochs=1))
    save(fitted.model, tmp_path, fitted.records)
    save(fitted.model, tmp_path, fitted.records)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "weights.safetensors"}
    again = load(tmp_path, task)
    assert torch.equal(again.predict(table.answers), fitted.model.predict(table.answers))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (lambda: make_task("caption", objects=(1, 4)), "space 'response' is Text"),
        (lambda: make_task("caption", sound="complement"), "space 'audio' is Audio.* fitted with none"),
        (lambda: make_task("vqa"), "space 'response' is Choice"),
        (lambda: make_task("classify", dataset="digits"), "space 'image' is Image"),
    ],
)
def test_another_task_is_refused_by_its_space(task: Callable, message: str, tmp_path: Path) -> None:
    save(small(WORDS), tmp_path)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, task())


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "is of format 2, and this version reads 1"),
        (lambda c: c.update(kind="agent"), "is not that of a reward model"),
        (lambda c: c["model"].update(hidden=16), "weights .* of the right shape"),
        (lambda c: c["model"].update(features=10**9), "weights .* of the right shape"),
        (lambda c: c["model"].update(colour=1), "is damaged"),
        (lambda c: c.update(members=3), "member 2"),
        (lambda c: c.update(members=1), "members.1"),
        (lambda c: c.update(members=10**9), "member 999999999"),
        (lambda c: c.update(shared="context"), "members.1.context_encoder"),
        (lambda c: c.update(aggregation="max"), "aggregation='max' is not one of"),
        (lambda c: c["reference"].update(mean=[0.0]), "is damaged"),
        (lambda c: c.pop("spaces"), "is damaged .*spaces"),
        (lambda c: c.pop("temperature"), "is damaged .*temperature"),
        (lambda c: c["vocabularies"].update(response="0" * 16), "digests of its vocabularies"),
        (lambda c: c["spaces"]["answer"]["vocabulary"].reverse(), "words must begin with"),
        (
            lambda c: c["spaces"]["context"]["image"].update(height=3),
            r"config.json is damaged .* below 36x36",
        ),
        (
            lambda c: c["reference"].update(mean=[float("nan"), 0.0]),
            "'mean' of the reward model is not finite",
        ),
        (lambda c: c["reference"].update(deviation=[1.0, -1.0]), "'deviation' .* is not above 0"),
        (lambda c: c.update(temperature=0.0), "'temperature' .* is not above 0"),
        (lambda c: c.update(temperature=float("inf")), "'temperature' .* is not finite"),
        (lambda c: c.update(penalty=-1.0), "penalty=-1.0 is no finite number"),
        (lambda c: c["weights"].update(sha256="0" * 64), "is not the file that config.json was written with"),
    ],
)
def test_what_does_not_fit_is_refused(change: Callable, message: str, tmp_path: Path) -> None:
    save(small(WORDS), tmp_path)
    rewritten(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"kind": 3}', "[" * 100_000])
def test_what_is_no_config_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json"):
        load(tmp_path)


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_half_written_weights_are_refused(cut: int, tmp_path: Path) -> None:
    save(small(WORDS), tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"weights\.safetensors is not the file"):
        load(tmp_path)


PLAIN = ModelSpaces({"position": Vector(3)}, gym.spaces.Discrete(4))


def plain(spaces: ModelSpaces = PLAIN) -> Ensemble:
    return Ensemble([RewardModel(spaces, ModelConfig(features=8, width=8))]).eval()


def test_a_model_without_words_may_be_smaller_than_the_decoder_that_it_does_not_have(tmp_path: Path) -> None:
    table = Answers({"position": torch.randn(5, 3)}, torch.arange(5), torch.tensor([0, 1, 2, 3, 0]))
    model = plain()
    assert torch.equal(load(save(model, tmp_path), PLAIN)(table), model(table))


def test_numbers_with_bounds_of_their_own_are_read_on_the_same_scale_again(tmp_path: Path) -> None:
    low, high = np.array([-1, 0], np.float32), np.array([1, 5], np.float32)
    spaces = ModelSpaces({"position": gym.spaces.Box(low, high)}, gym.spaces.Box(low, high))
    table = Answers({"position": torch.randn(5, 2)}, torch.arange(5), torch.randn(5, 2))
    model = plain(spaces)
    assert torch.equal(load(save(model, tmp_path), spaces)(table), model(table))


def test_a_space_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    save(plain(), tmp_path)
    huge = {"kind": "ranking", "count": 10**13, "top": 1}
    rewritten(tmp_path, lambda c: (c["spaces"].update(answer=huge), c["vocabularies"].pop("response")))
    with pytest.raises(ValueError, match=r"weights 'members.0.reader.* of the right shape"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda one: one.fill_(torch.nan), "is not finite"), (lambda one: one.to(torch.int8), "right shape")],
)
def test_weights_that_are_no_numbers_are_refused(change: Callable, message: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = save(plain(), tmp_path) / "weights.safetensors"
    weights = load_file(path)
    save_file({name: change(one) if "head" in name else one for name, one in weights.items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rewritten(tmp_path, lambda c: c["weights"].update(sha256=digest))
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_a_model_that_was_lost_in_training_is_not_saved(tmp_path: Path) -> None:
    model = plain()
    torch.nn.init.constant_(next(model.parameters()), torch.nan)
    with pytest.raises(ValueError, match="is not finite"):
        save(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no reward model"):
        load(tmp_path)
    save(small(WORDS), tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="is missing"):
        load(tmp_path, asked(WORDS)[0])
