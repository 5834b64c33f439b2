"""The code for devices, run on tensors on the CPU, gives what the NumPy arrays give, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tensor_path import on_tensors
from trajectories import flat, make, same, scripted_actions

from mm_envs import CONFIGURATIONS
from mm_envs.arrays import as_tensor
from mm_envs.engine.vector import MultimodalVectorEnv

STEPS = 16
MODES = ("SameStep", "NextStep", "Disabled")


def few_items(name: str) -> dict[str, Any]:
    """Arguments for fewer items: on a device all of them are made at the start."""
    return {} if "dataset" in CONFIGURATIONS[name] else {"items": 256}


def actions_of(envs: MultimodalVectorEnv, step: int) -> torch.Tensor:
    """Scripted actions; where answers are chosen, every other row writes the right one."""
    actions = scripted_actions(envs, step)
    if envs._choices is None:
        return actions
    right = envs.action_at(envs.task.oracle(envs.reference()))
    return torch.where(as_tensor(envs._rows.row) % 2 == 0, right, actions)


def resets(envs: MultimodalVectorEnv, step: int) -> dict[str, Any] | None:
    """Options of a reset of the rows that rest in DISABLED mode, with every third step."""
    if envs.autoreset_mode.value != "Disabled" or step % 3 != 2:
        return None
    return {"reset_mask": as_tensor(envs._finished).clone()}


def trajectory(name: str, n: int = 16, **arguments: Any) -> list[dict[str, np.ndarray]]:
    """Everything that an environment returns in a few steps; of final entries the rows of their mask."""
    envs = make(name, n, **{**few_items(name), **arguments})
    observation, info = envs.reset(seed=3)
    found = [entries(observation, info)]
    for step in range(STEPS):
        observation, *results, info = envs.step(actions_of(envs, step))
        found.append(entries(observation, info))
        found[-1] |= {str(number): np.asarray(value).copy() for number, value in enumerate(results)}
        options = resets(envs, step)
        if options is not None:
            found.append(entries(*envs.reset(options=options)))
    found.append({key: value.numpy().copy() for key, value in envs.state_dict().items()})
    return found


def entries(observation: Any, info: dict[str, Any]) -> dict[str, np.ndarray]:
    """Copies of all leaves; none of what ended where no row did."""
    mask = info.get("_final_info")
    some = mask is not None and bool(mask.any())
    leaves = flat({"observation": observation})
    for key, value in info.items():
        if not key.removeprefix("_").startswith("final"):
            leaves[key] = value
        elif some:
            leaves |= {path: leaf if key[0] == "_" else leaf[mask] for path, leaf in flat(value, key).items()}
    return {key: np.asarray(value).copy() for key, value in leaves.items()}


def assert_both_paths_agree(name: str, **arguments: Any) -> list[dict[str, np.ndarray]]:
    on_arrays = trajectory(name, **arguments)
    with on_tensors():
        found = trajectory(name, **arguments)
    for step, (a, b) in enumerate(zip(on_arrays, found, strict=True)):
        assert a.keys() == b.keys(), step
        assert not [key for key in a if not same(a[key], b[key])], step
    return on_arrays


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_every_configuration(name: str, mode: str) -> None:
    found = assert_both_paths_agree(name, autoreset_mode=mode)
    assert any("final_info/utility" in step for step in found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (name, arguments)
        for name in ("MMCaption-v0", "MMVQA-tokens-v0", "MMGuess-v0")
        for arguments in (
            {"group_size": 4},
            {"max_episode_steps": 3},
            {"feedback": "truth", "reward": "dense"},
            {"feedback": "truth", "reward": "dense", "max_episode_steps": 3, "group_size": 2},
            {"copy": False},
        )
    ],
)
def test_groups_limits_and_dense_rewards(name: str, arguments: dict[str, Any], mode: str) -> None:
    assert_both_paths_agree(name, autoreset_mode=mode, **arguments)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_truth_as_feedback_in_groups(name: str) -> None:
    assert_both_paths_agree(name, feedback="truth", group_size=2)


@pytest.mark.parametrize("reward", ["terminal", "dense"])
@pytest.mark.parametrize(
    ("feedback", "feedback_arguments"),
    [
        ("accuracy", {}),
        ("token_f1", {}),
        ("exact_match", {}),
        ("bleu", {}),
        ("bleu", {"references": None}),
        ("rouge_l", {}),
        ("rouge_l_coco", {}),
        ("cider", {}),
        ("cider_d", {"references": None}),
        ("weighted_sum", {"parts": {"cider_d": 0.7, "bleu": 0.3}}),
    ],
)
def test_metrics_as_feedback(feedback: str, feedback_arguments: dict[str, Any], reward: str) -> None:
    arguments = {"feedback": feedback, "feedback_arguments": feedback_arguments, "reward": reward}
    assert_both_paths_agree("MMCaption-v0", **arguments)


def test_the_tensor_path_is_all_tensors_and_has_its_own_pool() -> None:
    picked = make("MMCaption-v0", 4, items=64)
    with on_tensors():
        masked = make("MMCaption-v0", 4, items=64)
        masked.reset(seed=0)
    assert picked._compact
    assert not masked._compact
    assert picked._pool is not masked._pool
    numbers = masked._length, masked._return, masked._finished, masked._rows.key, masked._rows.item
    assert all(isinstance(value, torch.Tensor) for value in numbers)
    assert all(isinstance(table, torch.Tensor) for table in masked._pool._wide.values())
