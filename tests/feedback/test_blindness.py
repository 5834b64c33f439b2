"""A learned judge cannot reach the truth from what it is handed.

A spy takes the position of a learned feedback and keeps what it gets. All that can be reached from it is
walked: attributes, items, closures, and the storages behind tensors. (Code that digs in the interpreter, in
frames or in the list of all objects, is not what this is about: a learned judge is a network.)
"""

from __future__ import annotations

import gc
import types
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import cache
from typing import Any

import gymnasium as gym
import pytest
import torch
from tensor_path import on_tensors
from torch import Tensor
from trajectories import scripted_actions

from feedback.reward_models import Ensemble, LearnedReward, ModelConfig, RewardModel
from mm_envs.data.dataset import Dataset
from mm_envs.engine.pool import ItemPool, PoolFields
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement, Prompts
from mm_envs.feedback_sources import judgement, make_feedback
from mm_envs.tasks import CONFIGURATIONS, Task, make_task

ROWS, SEED = 6, 5
# Whoever holds one of these holds the truth.
KNOWING = (Dataset, ItemPool, PoolFields, Task, MultimodalVectorEnv, Prompts)
_CODE = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.CodeType,
    str,
    bytes,
)


class Spy:
    """A judge like a learned one, who keeps what it is handed, and who else held it at that moment."""

    sees_reference = False
    deterministic = True
    scores_prefix = False

    def __init__(self) -> None:
        self.handed: list[Episodes] = []
        self.holders: list[Any] = []

    def score(self, episodes: Episodes) -> Judgement:
        self.handed.append(episodes)
        for tensor in episodes.context.values():
            self.holders += [one for one in gc.get_referrers(tensor) if not isinstance(one, types.FrameType)]
        return Judgement(torch.zeros(len(episodes)))


@cache
def scored_by_spy(name: str, compact: bool) -> tuple[MultimodalVectorEnv, Spy]:
    """An environment of an id that was stepped, rows picked out or under a mask, and who judged in it."""
    spy = Spy()
    few: dict[str, Any] = {} if "dataset" in CONFIGURATIONS[name] else {"items": 64}
    with nullcontext() if compact else on_tensors():
        envs: Any = gym.make_vec(name, num_envs=ROWS, feedback=spy, **few).unwrapped
        envs.reset(seed=SEED)
        for step in range(envs.task.horizon + 1):
            envs.step(scripted_actions(envs, step))
    assert envs._compact == compact
    assert spy.handed
    return envs, spy


def reachable(start: Any) -> Iterator[Any]:
    """Everything that can be reached from an object without going through code."""
    seen, todo = set[int](), [start]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, _CODE):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, types.FunctionType):
            # Its globals are its module; what it was closed over is what it knows.
            todo += [cell.cell_contents for cell in one.__closure__ or ()]
            todo += [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
        else:
            todo += gc.get_referents(one)
        if isinstance(one, Tensor):
            todo += [one._base, one.grad, one.grad_fn]


def learned(task: Task) -> LearnedReward:
    members = [RewardModel(task, ModelConfig(features=8, hidden=8, width=4), seed=seed) for seed in range(2)]
    return LearnedReward(task, model=Ensemble(members))


@pytest.mark.parametrize("compact", [True, False], ids=["picked", "masked"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_nothing_that_knows_the_truth_can_be_reached_from_what_is_handed_over(
    name: str, compact: bool
) -> None:
    envs, spy = scored_by_spy(name, compact)
    for episodes in spy.handed:
        assert episodes.reference is None
        assert episodes.key is None
        assert episodes.truth is None
        assert type(episodes.context) is dict
        assert set(episodes.context) == set(envs.task.context)
        expected = {id(one) for one in [*tensors_of(episodes), episodes.response_length]}
        for one in reachable(episodes):
            assert not isinstance(one, KNOWING), type(one)
            if isinstance(one, Tensor) and one.dtype != torch.bool:
                same = any(one.data_ptr() == known.data_ptr() for known in tensors_of(episodes))
                assert id(one) in expected or same


def tensors_of(episodes: Episodes) -> list[Tensor]:
    length = [] if episodes.response_length is None else [episodes.response_length]
    heard = [] if episodes.turns is None else list(episodes.turns.values())
    return [*episodes.context.values(), episodes.response, *length, *heard]


@pytest.mark.parametrize("compact", [True, False], ids=["picked", "masked"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_tensor_is_a_window_into_a_table_that_holds_more(name: str, compact: bool) -> None:
    envs, spy = scored_by_spy(name, compact)
    tables = {table.untyped_storage().data_ptr() for table in envs._pool.tables.values()}
    for episodes in spy.handed:
        for tensor in tensors_of(episodes):
            storage = tensor.untyped_storage()
            assert storage.nbytes() == tensor.numel() * tensor.element_size()
            assert storage.data_ptr() not in tables


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_object_that_knows_the_truth_holds_the_same_context(name: str) -> None:
    _, spy = scored_by_spy(name, True)
    contexts = [episodes.context for episodes in spy.handed]
    for holder in spy.holders:
        assert any(holder is context for context in contexts) or isinstance(holder, list), type(holder)


def test_a_new_field_of_episodes_has_to_be_thought_of_here() -> None:
    shown = {"context", "response", "response_length", "turns"}
    assert {field.name for field in fields(Episodes)} == shown | {"reference", "key", "truth"}


class Tripwire(Mapping[str, Tensor]):
    """A reference that must not be touched."""

    def _refuse(self, *_: object) -> Any:
        raise AssertionError("the reference was looked at")

    __getitem__ = __iter__ = __len__ = __contains__ = _refuse


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_reward_model_scores_without_looking_and_the_same_whatever_the_truth_is(name: str) -> None:
    envs, spy = scored_by_spy(name, True)
    seen = spy.handed[0]
    model, key = learned(envs.task), torch.randint(9, (len(seen), 3))
    full = replace(seen, reference=Tripwire(), key=key)
    first, second = judgement(model, full), model.score(seen)
    assert torch.equal(first.reward, second.reward)
    assert bool(torch.isfinite(first.reward).all())


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_reward_model_holds_nothing_that_knows_the_truth(name: str) -> None:
    for one in reachable(learned(make_task(**CONFIGURATIONS[name]))):
        assert not isinstance(one, KNOWING), type(one)


def test_a_feedback_that_sees_the_reference_is_found_by_the_same_walk() -> None:
    task = make_task("classify", dataset="digits")
    assert any(isinstance(one, Task) for one in reachable(make_feedback("truth", task)))


@pytest.mark.parametrize("leak", ["closure", "attribute", "item"])
def test_the_walk_finds_what_is_hidden(leak: str) -> None:
    secret = make_task("classify", dataset="digits")
    holder: Any = {
        "item": {"deep": [secret]},
        "closure": lambda: secret,
        "attribute": types.SimpleNamespace(at=secret),
    }
    assert any(one is secret for one in reachable([holder[leak]]))
