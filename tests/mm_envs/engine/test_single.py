"""The single environment after the end of an episode."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mm_envs.engine.single import MultimodalEnv

# Prepared episodes of one step and of several, and an environment that steps its engine.
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("MMClassify-digits-v0", {}),
    ("MMCaption-v0", {}),
    ("MMCaption-v0", {"render_mode": "ansi"}),
]
every_kind = pytest.mark.parametrize(("name", "arguments"), KINDS)


def play(env: gym.Env[Any, Any], action: int = 3) -> float:
    """Steps to the end of the episode; returns the reward."""
    while True:
        _, reward, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            return float(reward)


def refuses(env: gym.Env[Any, Any]) -> None:
    for _ in range(3):
        with pytest.raises(gym.error.ResetNeeded, match=r"after the end of an episode: call env.reset\(\)"):
            env.step(3)


@every_kind
def test_a_step_after_the_end_needs_a_reset_and_changes_nothing(name: str, arguments: dict[str, Any]) -> None:
    env, twin = (gym.make(name, **arguments) for _ in range(2))
    env.reset(seed=3)
    twin.reset(seed=3)
    for _ in range(6):
        assert play(env) == play(twin)
        refuses(env)
        observation, info = env.reset()
        expected, other = twin.reset()
        assert info == other
        assert all(np.array_equal(observation[key], expected[key]) for key in expected)


@every_kind
def test_a_snapshot_knows_whether_its_episode_has_ended(name: str, arguments: dict[str, Any]) -> None:
    env, twin = (gym.make(name, **arguments) for _ in range(2))
    for each in (env, twin):
        each.reset(seed=3)
        each.reset()
    running = env.unwrapped.engine.state_dict()
    play(env)
    ended = env.unwrapped.engine.state_dict()
    refuses(env)
    twin.unwrapped.engine.load_state_dict(ended)
    refuses(twin)
    twin.reset()
    play(twin)
    twin.unwrapped.engine.load_state_dict(running)
    play(twin)
    refuses(twin)


def test_wrappers_hand_the_error_on() -> None:
    env: Any = gym.wrappers.RecordEpisodeStatistics(gym.make("MMCaption-v0"))
    env = gym.wrappers.NormalizeReward(gym.wrappers.ClipReward(env, 0, 1))
    env.reset(seed=0)
    play(env)
    refuses(env)
    env.reset()
    play(env)


def test_an_episode_that_was_cut_off_by_the_environment_has_ended() -> None:
    env = gym.make("MMCaption-v0").unwrapped
    cut = type(env)(task="caption", max_episode_steps=2)
    cut.reset(seed=0)
    assert [cut.step(3)[2:4] for _ in range(2)] == [(False, False), (False, True)]
    refuses(cut)


def test_a_time_limit_outside_leaves_the_episode_running() -> None:
    """As around Gymnasium's own environments, where steps after the limit are truncated again."""
    env = gym.make("MMCaption-v0", max_episode_steps=2)
    env.reset(seed=0)
    assert [env.step(3)[2:4] for _ in range(3)] == [(False, False), (False, True), (False, True)]
    while not env.step(3)[2]:
        pass
    refuses(env)
    env.reset()
    assert env.step(3)[2:4] == (False, False)


@pytest.mark.parametrize("task", ["caption", "vqa", "retrieve", "guess"])
def test_all_frames_of_an_environment_have_one_size(task: str) -> None:
    """As videos need them."""
    env = MultimodalEnv(task=task, render_mode="rgb_array")
    env.reset(seed=0)
    shapes = {env.render().shape}
    for step in range(25):
        if env.step(step % env.action_space.n)[2]:  # type: ignore[attr-defined]
            shapes.add(env.render().shape)
            env.reset()
        shapes.add(env.render().shape)
    assert len(shapes) == 1
