"""Nothing depends on the number of rows, the kind of output, or the way the environment is made."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from trajectories import flat, make, same, scripted_actions

from mm_envs import CONFIGURATIONS
from mm_envs.arrays import as_tensor
from mm_envs.random import fold, integers, stream

STEPS = 16
ROWS = (0, 1, 517, 1023)


def trajectory(name: str, num_envs: int, rows: list[int], **arguments: object) -> dict[int, list[dict]]:
    """Everything that some rows of a fresh environment return in a few steps."""
    envs = make(name, num_envs, **arguments)
    observation, info = envs.reset(seed=11)
    seen: dict[int, list[dict]] = {row: [] for row in rows}
    for step in range(STEPS):
        # What has just ended and what runs on, at one level of paths.
        mask = info.get("_final_info", torch.zeros(num_envs, dtype=torch.bool))
        leaves = flat({"obs": observation, "item": info["item"]})
        ended = flat(info.get("final_info", {}), "final") | flat(info.get("final_obs", {}), "final_obs")
        for row in rows:
            entry = {key: np.asarray(value[row]) for key, value in leaves.items()}
            if mask[row]:
                entry |= {key: np.asarray(value[row]) for key, value in ended.items()}
            seen[row].append(entry)
        observation, reward, terminated, truncated, info = envs.step(scripted_actions(envs, step))
        results = {"reward": reward, "terminated": terminated, "truncated": truncated}
        for row in rows:
            seen[row][-1] |= {key: np.asarray(value[row]) for key, value in results.items()}
    return seen


def assert_equal(one: list[dict], other: list[dict]) -> None:
    for step, (a, b) in enumerate(zip(one, other, strict=True)):
        assert a.keys() == b.keys(), step
        for key in a:
            assert same(a[key], b[key]), (step, key)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_rows_of_one_and_of_1024_are_equal_bit_for_bit(name: str) -> None:
    many = trajectory(name, 1024, list(ROWS))
    for row in ROWS:
        alone = trajectory(name, 1, [0], first_row=row)[0]
        assert_equal(alone, many[row])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_gym_make_gives_the_rows_of_make_vec(name: str) -> None:
    envs = gym.make_vec(name, num_envs=3, autoreset_mode="Disabled")
    observations, info = envs.reset(seed=5)
    singles = [gym.make(name, row=row) for row in range(3)]
    alone = [env.reset(seed=5) for env in singles]
    for step in range(STEPS):
        for row, (observation, single_info) in enumerate(alone):
            assert single_info["item"] == info["item"][row]
            for key, value in observation.items():
                assert same(value, observations[key][row].numpy()), (step, row, key)
        actions = scripted_actions(envs, step)
        observations, rewards, terminated, _, info = envs.step(actions)
        for row, env in enumerate(singles):
            observation, reward, done, _, single_info = env.step(actions[row].numpy())
            alone[row] = (observation, single_info)
            assert reward == float(rewards[row])
            assert done == bool(terminated[row])
            if done:
                assert single_info["utility"] == float(info["final_info"]["utility"][row])
        if terminated.any():
            observations, info = envs.reset(options={"reset_mask": terminated})
            for row in terminated.nonzero()[:, 0].tolist():
                alone[row] = singles[row].reset()


def widened(values: torch.Tensor) -> np.ndarray:
    """As the NumPy output gives it: numbers about an episode in double precision."""
    numbers = values.dtype is torch.float32 and values.ndim == 1
    return (values.double() if numbers else values).numpy()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_numpy_and_torch_outputs_are_equal(name: str) -> None:
    torch_envs, numpy_envs = make(name, 64), make(name, 64, output="numpy")
    results = [torch_envs.reset(seed=2), numpy_envs.reset(seed=2)]
    for step in range(STEPS):
        (first, *rest), (other, *others) = results
        for key in first:
            assert isinstance(other[key], np.ndarray)
            assert same(first[key].numpy(), other[key]), key
        for a, b in zip(rest[:-1], others[:-1], strict=True):
            assert same(widened(a), b)
        info, numpy_info = rest[-1], others[-1]
        assert ("final_info" in info) == ("final_info" in numpy_info)
        if "final_info" in info:
            mask = numpy_info["_final_info"]
            assert same(info["_final_info"].numpy(), mask)
            for key, value in flat(info["final_info"]).items():
                entry = numpy_info["final_info"]
                for part in key.split("/")[1:]:
                    entry = entry[part]
                assert same(widened(value)[mask], entry[mask]), key
            for row, single in enumerate(numpy_info["final_obs"]):
                assert (single is not None) == mask[row]
                for key in single or {}:
                    assert same(single[key], info["final_obs"][key][row].numpy()), key
        actions = scripted_actions(torch_envs, step)
        results = [torch_envs.step(actions), numpy_envs.step(actions.numpy())]


@pytest.mark.parametrize("name", ["MMCaption-v0", "MMVQA-v0"])
def test_same_step_and_disabled_run_the_same_episodes(name: str) -> None:
    def episodes(mode: str) -> dict[tuple[int, int], tuple]:
        envs = make(name, 16, autoreset_mode=mode)
        _, info = envs.reset(seed=8)
        found = {}
        steps = torch.zeros(16, dtype=torch.int64)
        for _ in range(40):
            # An action is a function of row, episode and place, so that both modes see the same ones.
            hashes = fold(stream(1, "episode actions"), as_tensor(envs._rows.row), info["episode_index"], 0)
            actions = integers(fold(hashes, steps), envs._choices)
            _, _, terminated, _, info = envs.step(actions)
            steps = torch.where(terminated, 0, steps + 1)
            if "final_info" in info:
                final = info["final_info"]
                for row in info["_final_info"].nonzero()[:, 0].tolist():
                    key = (row, int(final["episode_index"][row]))
                    parts = [
                        np.asarray(final[name][row]).tobytes() for name in ("utility", "item", "response")
                    ]
                    length = int(final["episode"]["l"][row])
                    found[key] = (*parts, float(final["episode"]["r"][row]), length)
            if mode == "Disabled" and terminated.any():
                _, info = envs.reset(options={"reset_mask": terminated})
        return found

    one, other = episodes("SameStep"), episodes("Disabled")
    assert len(one) > 16
    assert one == other
