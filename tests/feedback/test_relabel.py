"""Replay buffers relabelled: the same rewards as if the feedback had been asked at the time."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from stable_baselines3.her import HerReplayBuffer

from feedback.relabel import relabel
from feedback.transitions import observation_action_and_next
from feedback.vec_env import RewardVecEnv
from mm_envs.episodes import Episodes, Judgement


class Weighing:
    """Weighs everything it is given, so that a row out of index shows."""

    sees_reference = False
    deterministic = True
    scores_prefix = False

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def score(self, episodes: Episodes) -> Judgement:
        parts = [*episodes.context.values(), episodes.response]
        columns = torch.cat([part.double().reshape(len(episodes), -1) for part in parts], 1)
        weights = 0.37 * torch.arange(columns.shape[1], dtype=torch.float64) % 1 - 0.5
        return Judgement((self.weight / 100 * (columns * weights).sum(1)).float())


class Pictures(gym.Env):
    """Random pictures, channels last; cut off after five steps."""

    observation_space = gym.spaces.Dict(
        image=gym.spaces.Box(0, 255, (36, 38, 3), np.uint8), kind=gym.spaces.Discrete(4)
    )
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self._seen(), 0.0, False, self.steps == 5, {}

    def _seen(self) -> Any:
        image = self.np_random.integers(256, size=(36, 38, 3), dtype=np.uint8)
        return {"image": image, "kind": int(self.np_random.integers(4))}


def pictures() -> DummyVecEnv:
    return DummyVecEnv([Pictures] * 2)


def same_again(agent: Any, venv: RewardVecEnv) -> None:
    """Relabelled by the same feedback a buffer does not change; by another one it does."""
    buffer = agent.replay_buffer
    stored = buffer.rewards.copy()
    size = buffer.size()
    assert size > 0
    assert stored[:size].std() > 0
    buffer.rewards[:size] = np.nan
    assert venv.relabel(buffer) == size * buffer.n_envs
    np.testing.assert_allclose(buffer.rewards, stored, rtol=1e-5, atol=1e-6)
    relabel(buffer, Weighing(2.0), venv.adapter, batch=7)
    np.testing.assert_allclose(buffer.rewards, 2 * stored, rtol=1e-5, atol=2e-6)


# Half full, and round again.
@pytest.mark.parametrize("steps", [40, 90])
def test_pictures_that_the_buffer_keeps_transposed(steps: int) -> None:
    venv = RewardVecEnv(pictures(), Weighing(), observation_action_and_next)
    few = {"buffer_size": 64, "learning_starts": 10**6, "exploration_fraction": 1.0}
    same_again(DQN("MultiInputPolicy", venv, device="cpu", **few).learn(steps), venv)


@pytest.mark.parametrize("normalised", [False, True])
def test_vectors_and_last_observations(normalised: bool) -> None:
    venv = RewardVecEnv(make_vec_env("CartPole-v1", 3), Weighing(), observation_action_and_next)
    above: Any = VecNormalize(venv) if normalised else venv
    few = {"buffer_size": 300, "learning_starts": 10**6}
    same_again(DQN("MlpPolicy", above, device="cpu", **few).learn(240), venv)


def test_actions_that_the_buffer_keeps_scaled() -> None:
    venv = RewardVecEnv(make_vec_env("Pendulum-v1", 2), Weighing())
    few = {"buffer_size": 100, "learning_starts": 10**6}
    same_again(SAC("MlpPolicy", venv, device="cpu", **few).learn(60), venv)


def test_what_cannot_be_relabelled_is_refused_and_left_alone() -> None:
    spaces = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)
    with pytest.raises(ValueError, match="a RolloutBuffer cannot be relabelled"):
        relabel(RolloutBuffer(4, *spaces), Weighing())  # type: ignore[arg-type]
    hindsight = HerReplayBuffer.__new__(HerReplayBuffer)
    with pytest.raises(ValueError, match="a HerReplayBuffer cannot be relabelled"):
        relabel(hindsight, Weighing())
    thrifty = ReplayBuffer(
        4, *spaces, device="cpu", optimize_memory_usage=True, handle_timeout_termination=False
    )
    seen = np.ones((1, 2), np.float32)
    for _ in range(3):
        thrifty.add(seen, seen, np.ones((1, 1)), np.ones(1), np.zeros(1), [{}])
    with pytest.raises(ValueError, match="optimize_memory_usage=True does not keep last observations"):
        relabel(thrifty, Weighing(), observation_action_and_next)
    with pytest.raises(ValueError, match="not finite"):
        relabel(thrifty, Weighing(float("nan")))
    assert thrifty.rewards[:3, 0].tolist() == [1, 1, 1]
    assert relabel(thrifty, Weighing()) == 3
    assert thrifty.rewards[3, 0] == 0
    assert relabel(ReplayBuffer(4, *spaces, device="cpu"), Weighing()) == 0
