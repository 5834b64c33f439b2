"""Algorithms of sb3-contrib, and frame stacking, on our environments with our encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack

import mm_envs  # noqa: F401 - registers the environments
from agents.sb3.policy import policy_arguments
from agents.sb3.vec_env import DeviceVecEnv

contrib: Any = pytest.importorskip("sb3_contrib", reason="sb3-contrib is missing: pip install sb3-contrib")

ROWS = 4
ONE_PASS = {"n_steps": 8, "batch_size": 16, "n_epochs": 1, "seed": 0}
MASKED = {
    "MMRetrieve-v0": {"answer": "ranking", "candidates": 4},
    "MMGuess-v0": {},
    "MMCaption-v0": {},
}


def of_rows(name: str, **arguments: Any) -> VecEnv:
    return DummyVecEnv([lambda row=row: gym.make(name, row=row, **arguments) for row in range(ROWS)])


def of_vector(name: str, **arguments: Any) -> VecEnv:
    return DeviceVecEnv(gym.make_vec(name, ROWS, **arguments), numpy=True)


both = pytest.mark.parametrize("make_env", [of_rows, of_vector])
MakeEnv = Callable[..., VecEnv]


def small(**further: Any) -> dict[str, Any]:
    return {**policy_arguments(features=16, hidden=8), **further}


@both
@pytest.mark.parametrize("name", MASKED)
def test_masked_ppo_never_takes_an_invalid_action(
    make_env: MakeEnv, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    envs = make_env(name, **MASKED[name])
    step, invalid = envs.step_async, []

    def checked(actions: Any) -> None:
        masks = np.stack(envs.env_method("action_masks")).astype(bool)
        assert masks[np.arange(ROWS), actions].all()
        invalid.append(int((~masks).sum()))
        step(actions)

    monkeypatch.setattr(envs, "step_async", checked)
    model = contrib.MaskablePPO("MultiInputPolicy", envs, policy_kwargs=small(), **ONE_PASS)
    before = [weight.clone() for weight in model.policy.parameters()]
    model.learn(64)
    assert len(invalid) == 16
    assert sum(invalid) > 0
    after = list(model.policy.parameters())
    assert all(bool(weight.isfinite().all()) for weight in after)
    assert not all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("name", MASKED)
def test_masks_of_single_and_vector_environments_are_equal(name: str) -> None:
    single, vector = of_rows(name, **MASKED[name]), of_vector(name, **MASKED[name])
    rng = np.random.default_rng(0)
    single.reset()
    vector.seed(0)
    vector.reset()
    for row in range(ROWS):
        single.env_method("reset", seed=0, indices=row)
    for _ in range(9):
        masks = np.stack(single.env_method("action_masks"))
        assert np.array_equal(masks, np.stack(vector.env_method("action_masks")))
        assert np.array_equal(masks[1:3], np.stack(vector.env_method("action_masks", indices=[1, 2])))
        # Ended rows of the same seed, row and episode start alike.
        actions = np.array([rng.choice(mask.nonzero()[0]) for mask in masks])
        single.step(actions)
        vector.step(actions)


def test_masks_are_those_of_gymnasium() -> None:
    env = gym.make("MMRetrieve-v0", answer="ranking", candidates=3)
    with pytest.raises(gym.error.ResetNeeded, match="before calling"):
        env.get_wrapper_attr("action_masks")()
    env.reset(seed=1)
    ended, taken = False, []
    while not ended:
        mask = env.get_wrapper_attr("action_masks")()
        assert (mask.dtype, mask.shape) == (np.int8, (3,))
        taken.append(int(env.action_space.sample(mask=mask)))
        ended = env.step(taken[-1])[2]
    assert len(set(taken)) == len(taken) == 2
    boxes: Any = gym.make_vec("MMGround-v0", 2)
    boxes.reset(seed=1)
    with pytest.raises(ValueError, match="are numbers, and all are valid: use no masks"):
        boxes.action_masks()


@both
def test_recurrent_ppo_learns_from_words(make_env: MakeEnv) -> None:
    arguments = small(lstm_hidden_size=8)
    envs = make_env("MMVQA-tokens-v0")
    model = contrib.RecurrentPPO("MultiInputLstmPolicy", envs, policy_kwargs=arguments, **ONE_PASS).learn(64)
    actions, state = model.predict(envs.reset(), deterministic=True)
    assert (actions.shape, state[0].shape) == ((ROWS,), (1, ROWS, 8))


@both
@pytest.mark.parametrize("name", ["MMVQA-v0", "MMVQA-tokens-v0"])
def test_quantile_regression_dqn_learns(make_env: MakeEnv, name: str) -> None:
    envs, arguments = make_env(name), small(n_quantiles=5)
    about = {"buffer_size": 64, "learning_starts": 16, "batch_size": 8, "seed": 0}
    model = contrib.QRDQN("MultiInputPolicy", envs, policy_kwargs=arguments, **about).learn(64)
    assert model._n_updates > 0
    assert model.predict(envs.reset())[0].shape == (ROWS,)


@both
def test_stacked_frames_need_the_encoders_of_stable_baselines3(make_env: MakeEnv) -> None:
    envs = VecFrameStack(make_env("MMCaption-v0"), 3)
    assert PPO("MultiInputPolicy", envs, **ONE_PASS).learn(32).num_timesteps == 32
    with pytest.raises(ValueError, match=r"'tokens_length' of shape \(3,\) is stacked, .* leave VecFrame"):
        PPO("MultiInputPolicy", envs, policy_kwargs=small(), **ONE_PASS)
