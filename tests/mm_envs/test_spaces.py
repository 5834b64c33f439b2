"""Typed spaces: equality, membership, batching without memory, JSON."""

from __future__ import annotations

import copy
import pickle
import tracemalloc

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space, create_empty_array

from mm_envs.spaces import (
    Audio,
    Candidates,
    Count,
    Image,
    Tokens,
    UniformBox,
    Vector,
    Video,
    from_json,
    to_json,
)
from mm_envs.tokenizers import Vocabulary

WORDS = Vocabulary.of(["red", "green"])
SPACES = [
    Image(36, 48),
    Image(64, 64, channels=1),
    Video(3, 40, 40),
    Audio(100, 8000),
    Tokens(5, WORDS),
    Vector(4),
    Vector(2, -1.0, 1.0),
    Count(7),
    UniformBox(-2, 9, (2, 3), np.int64),
    Candidates(Image(36, 48), 4),
    Candidates(Image(36, 48), 5),
    Candidates(Tokens(5, WORDS), 4),
    Candidates(Vector(2), 1),
    Candidates(Candidates(Count(7), 2), 3),
    Candidates(Candidates(Count(7), 2), 4),
]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_samples_belong_and_foreign_values_do_not(space: UniformBox) -> None:
    space.seed(0)
    sample = space.sample()
    assert space.contains(sample)
    assert batch_space(space, 3).contains(np.stack([space.sample() for _ in range(3)]))
    assert not space.contains(sample[..., :-1])
    assert not space.contains(sample.astype(np.complex64))
    assert not space.contains(sample.tolist())
    if np.isfinite(float(space.high.max())):
        assert not space.contains(sample.astype(np.float64) * 0 + float(space.high.max()) + 1)


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_a_space_equals_its_copies_and_no_other(space: UniformBox) -> None:
    batched = batch_space(space, 6)
    for one in (space, batched, gym.spaces.Dict({"a": space, "b": batched, "c": gym.spaces.Discrete(3)})):
        assert pickle.loads(pickle.dumps(one)) == one
        assert copy.deepcopy(one) == one
        assert from_json(to_json(one)) == one
    assert batched != batch_space(space, 7)
    assert sum(space == other for other in SPACES) == 1
    assert space != gym.spaces.Box(0, 1, space.shape)


def test_spaces_of_two_vocabularies_and_of_two_sample_rates_differ() -> None:
    assert Tokens(5, WORDS) != Tokens(5, Vocabulary.of(["green", "red"]))
    assert Tokens(5, WORDS) == Tokens(5, Vocabulary.of(["red", "green"]))
    assert Audio(100, 8000) != Audio(100, 16000)
    assert WORDS.digest in repr(Tokens(5, WORDS))
    assert "sample_rate=8000" in repr(Audio(100, 8000))


@pytest.mark.parametrize("single", SPACES, ids=repr)
def test_candidates_are_elements_of_one_space(single: UniformBox) -> None:
    space = Candidates(single, 3)
    assert space.shape == (3, *single.shape)
    assert space.dtype == single.dtype
    space.seed(0)
    assert all(single.contains(one) for one in space.sample())
    for again in (pickle.loads(pickle.dumps(space)), copy.deepcopy(space), from_json(space.to_json())):
        assert again.single == single
        assert hash(again) == hash(space)
    assert space != batch_space(single, 3)
    assert batch_space(space, 2).single == space


def test_a_batch_of_batches_differs_by_both_numbers() -> None:
    several = {(n, m): batch_space(batch_space(Vector(2), m), n) for n in (2, 3) for m in (2, 3)}
    assert all((a == b) == (several[a] == several[b]) for a in several for b in several)


def test_batching_and_pickling_cost_no_memory() -> None:
    tracemalloc.start()
    batched = batch_space(gym.spaces.Dict(image=Image(64, 64), audio=Audio(4096, 8000)), 65_536)
    stored = pickle.dumps(batched)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert len(stored) < 10_000
    assert batched["image"].shape == (65_536, 3, 64, 64)


def test_gymnasium_makes_arrays_of_them() -> None:
    array = create_empty_array(Image(36, 36), n=4)
    assert array.shape == (4, 3, 36, 36)
    assert array.dtype == np.uint8


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Image(35, 64), "35x64 pixels is below 36x36"),
        (lambda: Image(64, 64, channels=2), "channels=2 is neither 1"),
        (lambda: Video(0, 64, 64), "frames=0 is below 1"),
        (lambda: Audio(0, 8000), "samples=0"),
        (lambda: Candidates(Vector(2), 0), "count=0 is below 1: give at least one candidate"),
        (lambda: to_json(gym.spaces.MultiBinary(3)), "has no JSON form"),
        (lambda: from_json('{"kind": "Smell"}'), "kind='Smell' is not one of"),
    ],
)
def test_wrong_arguments_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
