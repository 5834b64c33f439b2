"""The plain environment is the same task as the engine's: same items and actions, same everything."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from benchmarks.baselines.plain_env import PlainCaptionEnv, PlainItems, plain_items
from feedback.annotators import AnnotatorFeedback
from mm_envs.engine.vector import MultimodalVectorEnv

ROWS, STEPS, ITEMS = 8, 40, 64


@pytest.fixture(scope="module")
def items() -> PlainItems:
    return plain_items(items=ITEMS)


def _equal(plain: dict[str, Any], batch: dict[str, torch.Tensor], row: int) -> None:
    assert plain.keys() == batch.keys()
    for key, value in plain.items():
        ours = batch[key][row].numpy()
        assert value.dtype == ours.dtype
        np.testing.assert_array_equal(value, ours, err_msg=key)


def _actions(envs: MultimodalVectorEnv, oracle: bool, generator: torch.Generator) -> torch.Tensor:
    """Random words, or mostly those of the best caption (which random words hardly ever write)."""
    drawn = torch.randint(int(envs.single_action_space.n), (ROWS,), generator=generator)  # type: ignore[attr-defined]
    if not oracle:
        return drawn
    best = envs.action_at(envs.task.oracle(envs.reference()))
    return torch.where(torch.rand(ROWS, generator=generator) < 0.9, best, drawn)


@pytest.mark.parametrize("oracle", [False, True])
def test_same_items_and_actions_give_the_same_task(items: PlainItems, oracle: bool) -> None:
    perfect = {"rationality": float("inf"), "mistakes": 0.0}
    envs = MultimodalVectorEnv(ROWS, "caption", items=ITEMS, feedback_arguments=perfect)
    annotator = AnnotatorFeedback(items.task, **perfect)
    plain = [PlainCaptionEnv(items, annotator) for _ in range(ROWS)]
    assert plain[0].observation_space == envs.single_observation_space
    assert plain[0].action_space == envs.single_action_space
    observations, info = envs.reset(seed=5)
    for row, env in enumerate(plain):
        _equal(env.reset(options={"items": int(info["item"][row])})[0], observations, row)
    endings, generator = 0, torch.Generator().manual_seed(6)
    for _ in range(STEPS):
        actions = _actions(envs, oracle, generator)
        observations, rewards, terminated, truncated, info = envs.step(actions)
        for row, env in enumerate(plain):
            seen, reward, ended, cut, one = env.step(actions[row].numpy())
            assert (ended, cut) == (bool(terminated[row]), bool(truncated[row]))
            if ended:
                _equal(seen, info["final_obs"], row)
                _same_judgement(one, info["final_info"], row)
                seen = env.reset(options={"items": int(info["item"][row])})[0]
                endings += 1
            assert np.float32(reward) == pytest.approx(float(rewards[row]), abs=1e-6)
            _equal(seen, observations, row)
    assert endings > ROWS


def _same_judgement(one: dict[str, Any], final: dict[str, Any], row: int) -> None:
    assert np.float32(one["utility"]) == final["utility"][row].numpy()
    assert one["utility_parts"].keys() == final["utility_parts"].keys()
    for name, part in one["utility_parts"].items():
        assert np.float32(part) == final["utility_parts"][name][row].numpy(), name
    np.testing.assert_array_equal(one["response"], final["response"][row].numpy())
    assert one["episode"]["l"] == int(final["episode"]["l"][row])


def test_feedback_has_the_moments_of_that_of_the_engine(items: PlainItems) -> None:
    env = PlainCaptionEnv(items, AnnotatorFeedback(items.task, mistakes=0.25))
    env.reset(seed=1)
    noise, mistaken, rewards = [], [], []
    for _ in range(4000):
        _, reward, _, _, info = env.step(1)
        noise.append(info["reward_parts"]["noise"])
        mistaken.append(info["reward_parts"]["perceived"] != info["utility"])
        rewards.append(reward)
        env.reset()
    annotator = items.annotator
    assert np.mean(mistaken) == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / 4000))
    deviation = annotator.noise * np.pi / np.sqrt(6)
    assert np.mean(noise) == pytest.approx(0.0, abs=5 * deviation / np.sqrt(4000))
    assert np.std(noise) == pytest.approx(deviation, rel=0.1)
    perceived = np.array(noise) + np.array(mistaken)
    np.testing.assert_allclose(rewards, perceived * annotator.gain + annotator.offset)


def test_gymnasium_accepts_it(items: PlainItems) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # It is no registered environment, so there is no spec to render it by.
        warnings.filterwarnings("ignore", message=".*not having a spec.*")
        check_env(PlainCaptionEnv(items))


def test_what_was_returned_is_never_changed(items: PlainItems) -> None:
    env = PlainCaptionEnv(items)
    first, _ = env.reset(seed=2)
    kept = {key: value.copy() for key, value in first.items()}
    second, *_ = env.step(3)
    for key, value in first.items():
        assert not np.shares_memory(value, second[key])
        np.testing.assert_array_equal(value, kept[key])
