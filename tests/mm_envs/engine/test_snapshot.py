"""An environment goes on from a snapshot exactly as the one that it was taken of."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from trajectories import flat, make, same, scripted_actions

from mm_envs.arrays import as_tensor
from mm_envs.engine.vector import MultimodalVectorEnv

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("MMClassify-digits-v0", {}),
    ("MMVQA-tokens-v0", {}),
    ("MMCaption-v0", {"feedback": "truth", "reward": "dense"}),
    ("MMVQA-tokens-v0", {"max_episode_steps": 2}),
    ("MMClassify-distribution-v0", {}),
]


def steps(envs: MultimodalVectorEnv, first: int, n: int) -> list[dict[str, Any]]:
    """What some steps return; rows that rest in DISABLED mode are reset after every third."""
    results = []
    for step in range(first, first + n):
        observation, reward, terminated, truncated, info = envs.step(scripted_actions(envs, step))
        results.append(flat({"o": observation, "r": reward, "e": terminated, "t": truncated, "i": info}))
        if envs.autoreset_mode.value == "Disabled" and step % 3 == 2 and bool(envs._finished.any()):
            mask = as_tensor(envs._finished).clone()
            first_items = envs._pool.first + torch.arange(len(mask) // envs.group_size) % envs._pool.size
            items = first_items if step % 2 else None
            observation, info = envs.reset(options={"reset_mask": mask, "items": items})
            results.append(flat({"o": observation, "i": info}))
    return results


def equal(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(_leaf(a[key], b[key]) for key in a)
        for a, b in zip(one, other, strict=True)
    )


def _leaf(a: Any, b: Any) -> bool:
    if getattr(a, "dtype", None) == np.dtype(object):
        return all(
            (x is None) == (y is None) and (x is None or all(same(x[key], y[key]) for key in x))
            for x, y in zip(a, b, strict=True)
        )
    return same(a, b)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(KINDS),
    mode=st.sampled_from(["SameStep", "NextStep", "Disabled"]),
    output=st.sampled_from(["torch", "numpy"]),
    groups=st.sampled_from([1, 2]),
    before=st.integers(0, 14),
    given_items=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_it_goes_on_as_if_nothing_had_been(
    kind: tuple[str, dict[str, Any]],
    mode: str,
    output: str,
    groups: int,
    before: int,
    given_items: bool,
    seed: int,
) -> None:
    arguments = {**kind[1], "autoreset_mode": mode, "output": output, "group_size": groups}
    envs, twin = (make(kind[0], 4, first_row=2, **arguments) for _ in range(2))
    items = envs._pool.first + torch.arange(4 // groups) if given_items else None
    envs.reset(seed=seed, options={"items": items})
    steps(envs, 0, before)
    bytes_of_it = save(envs.state_dict())
    expected = steps(envs, before, 12)
    twin.load_state_dict(load(bytes_of_it))
    assert equal(expected, steps(twin, before, 12))
    # Once more, into an environment that has gone elsewhere.
    envs.load_state_dict(load(bytes_of_it))
    assert equal(expected, steps(envs, before, 12))


def test_the_observation_comes_back_and_the_snapshot_is_independent() -> None:
    envs = make("MMVQA-tokens-v0", 3)
    envs.reset(seed=1)
    observation = envs.step(torch.tensor([5, 6, 7]))[0]
    snapshot = envs.state_dict()
    kept = {name: tensor.clone() for name, tensor in snapshot.items()}
    steps(envs, 0, 5)
    again = envs.load_state_dict(snapshot)
    assert all(torch.equal(observation[key], again[key]) for key in observation)
    steps(envs, 0, 5)
    assert all(torch.equal(snapshot[name], kept[name]) for name in kept)


def test_what_is_drawn_of_the_last_episode_comes_back() -> None:
    envs, twin = (make("MMClassify-digits-v0", 2, render_mode="ansi") for _ in range(2))
    envs.reset(seed=1)
    envs.step(torch.tensor([1, 2]))
    twin.load_state_dict(envs.state_dict())
    assert envs.render() == twin.render()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group_size": 2}, "group_size of the environment was 1 and is now 2"),
        ({"split": "test"}, "split of the environment was train and is now test"),
        (
            {"autoreset_mode": "Disabled"},
            "autoreset_mode of the environment was SameStep and is now Disabled",
        ),
        ({"feedback": "truth"}, "feedback of the environment was .* and is now Truth"),
        ({"scale": 6}, "dataset fingerprint of the environment was .* and is now"),
        ({"first_row": 4}, "first_row of the environment was 0 and is now 4"),
    ],
)
def test_another_environment_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    envs, other = make("MMClassify-digits-v0", 4), make("MMClassify-digits-v0", 4, **arguments)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(envs.state_dict())
    assert not other.started


def test_damage_is_reported_and_changes_nothing() -> None:
    envs = make("MMVQA-tokens-v0", 2)
    with pytest.raises(gym.error.ResetNeeded):
        envs.state_dict()
    envs.reset(seed=0)
    good = envs.state_dict()
    damages = [
        ({name: good[name] for name in good if name != "item"}, "lacks entry 'item'"),
        ({**good, "more": good["item"]}, "an unknown entry 'more'"),
        ({**good, "item": good["item"][:1]}, r"entry 'item' .* has shape \(1,\)"),
        ({**good, "item": good["item"] + 10**9}, "not one of .* in this split"),
        ({**good, "key": good["key"] + 1}, "first row of the snapshot"),
        (
            {**good, "state/tokens": good["state/tokens"] - 5},
            "'state/tokens' of the snapshot is out of range",
        ),
        ({**good, "about": good["about"][:-3]}, "no snapshot of an environment"),
        ({}, "no snapshot of an environment"),
    ]
    for damaged, message in damages:
        with pytest.raises(ValueError, match=message):
            envs.load_state_dict(damaged)
    assert all(torch.equal(good[name], tensor) for name, tensor in envs.state_dict().items())
