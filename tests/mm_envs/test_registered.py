"""Every registered environment passes every checker there is, with warnings as failures."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import mm_envs
from mm_envs import CONFIGURATIONS, check_vector_env
from mm_envs.engine.check.registered import advice_on

MODES = ("SameStep", "NextStep", "Disabled")


def test_every_configuration_is_registered_as_data() -> None:
    for name in CONFIGURATIONS:
        spec = gym.spec(name)
        assert spec.max_episode_steps is None
        assert gym.envs.registration.EnvSpec.from_json(spec.to_json()).kwargs.keys() == spec.kwargs.keys()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_checkers_of_gymnasium_and_stable_baselines(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(name, render_mode="rgb_array").unwrapped)
        env = gym.make(name)
        for advice in advice_on(env.observation_space):
            warnings.filterwarnings("ignore", message=advice)
        sb3_check_env(env)


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("output", ["torch", "numpy"])
@pytest.mark.parametrize("mode", MODES)
def test_conformance(name: str, output: str, mode: str) -> None:
    def make(num_envs: int, autoreset_mode: Any = mode, first_row: int = 0) -> gym.vector.VectorEnv:
        arguments = {"autoreset_mode": autoreset_mode, "first_row": first_row, "output": output}
        return gym.make_vec(name, num_envs=num_envs, **arguments)

    report = check_vector_env(make(3), make=make, steps=30, strict=True)
    assert report.ok


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_spaces_survive_pickling_and_json(name: str) -> None:
    from mm_envs.spaces import from_json, to_json

    envs = gym.make_vec(name, num_envs=5)
    for space in (envs.single_observation_space, envs.observation_space):
        assert pickle.loads(pickle.dumps(space)) == space
        assert from_json(to_json(space)) == space


@pytest.mark.parametrize("name", ["MMCaption-v0", "MMVQA-v0"])
def test_wrappers_of_gymnasium_that_work_with_same_step(name: str) -> None:
    envs = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec(name, num_envs=4, output="numpy"))
    envs.reset(seed=0)
    envs.action_space.seed(0)
    counted = 0
    for _ in range(30):
        *_, info = envs.step(envs.action_space.sample())
        counted += "episode" in info
    assert counted
    env = gym.wrappers.RecordEpisodeStatistics(gym.make(name, max_episode_steps=5))
    env.reset(seed=0)
    for _ in range(5):
        _, _, terminated, truncated, info = env.step(3)
        if terminated or truncated:
            break
    assert info["episode"]["l"] <= 5


def test_async_and_sync_vector_envs_of_gymnasium_agree() -> None:
    results = []
    for mode in ("sync", "async"):
        envs = gym.make_vec("MMVQA-v0", num_envs=2, vectorization_mode=mode)
        observation, _ = envs.reset(seed=3)
        _, reward, *_ = envs.step([0, 1])
        results.append((observation["image"].sum(), reward.tolist()))
        envs.close()
    assert results[0] == results[1]


def test_unknown_attributes_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mm_envs.nothing
