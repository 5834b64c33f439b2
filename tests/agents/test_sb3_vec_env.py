"""The VecEnv of the bridge: what two published adapters got wrong, and the rest of the interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common import vec_env as sb3_wrappers
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecCheckNan, VecEnv, VecExtractDictObs, VecFrameStack, VecMonitor
from wrapper_tables import wrapper_table

from agents.learning import learn
from agents.sb3.policy import DevicePolicy
from agents.sb3.vec_env import DeviceVecEnv
from agents.trainers import make_trainer
from feedback.vec_env import RewardVecEnv
from mm_envs.episodes import Episodes, Judgement

MakeEnvs: TypeAlias = Callable[..., gym.vector.VectorEnv]
ROWS = 6


def steps(vec_env: DeviceVecEnv, n: int, seed: int = 0) -> Iterator[Any]:
    """Yields what n steps with random actions return, after a reset."""
    rng = np.random.default_rng(seed)
    vec_env.seed(seed)
    vec_env.reset()
    for _ in range(n):
        yield vec_env.step(rng.integers(vec_env.action_space.n, size=vec_env.num_envs))


@pytest.mark.parametrize("numpy", [False, True])
@pytest.mark.parametrize("words", [False, True])
def test_the_last_observation_is_of_the_episode_that_ended(make: MakeEnvs, words: bool, numpy: bool) -> None:
    """Not the reset observation, and not changed by any later step."""
    twin, vec_env = make(ROWS, words), DeviceVecEnv(make(ROWS, words), numpy=numpy)
    rng = np.random.default_rng(0)
    twin.reset(seed=3)
    vec_env.seed(3)
    vec_env.reset()
    kept = []
    for _ in range(12):
        actions = rng.integers(twin.single_action_space.n, size=ROWS)
        observation, _, _, _, info = twin.step(actions)
        given, _, dones, infos = vec_env.step(actions)
        for key, value in observation.items():
            assert np.array_equal(given[key], value)
        for row in dones.nonzero()[0]:
            last = {key: value[row].clone() for key, value in info["final_obs"].items()}
            kept.append((infos[row]["terminal_observation"], last))
            assert any(not np.array_equal(given[key][row], last[key]) for key in last)
    assert len(kept) > ROWS
    for given, truth in kept:
        assert set(given) == set(truth)
        assert all(np.array_equal(given[key], truth[key]) for key in truth)


def test_only_rows_that_ended_have_something_to_report(make: MakeEnvs) -> None:
    seen = set()
    for _, _, dones, infos in steps(DeviceVecEnv(make(ROWS, words=True)), 12):
        nothing = [info for info, done in zip(infos, dones, strict=True) if not done]
        seen.add(len(nothing))
        assert all(info == {} and info is nothing[0] for info in nothing)
        for row in dones.nonzero()[0]:
            episode = infos[row]["episode"]
            assert set(episode) == {"r", "l", "t"}
            assert isinstance(episode["r"], float)
            assert isinstance(episode["l"], int)
    assert seen & set(range(1, ROWS))


def test_episodes_that_are_cut_off_say_so(make: MakeEnvs) -> None:
    counts = {True: 0, False: 0}
    for _, rewards, dones, infos in steps(DeviceVecEnv(make(ROWS, words=True, max_episode_steps=2)), 40):
        for row in dones.nonzero()[0]:
            info = infos[row]
            counts[info["TimeLimit.truncated"]] += 1
            # Only <eos> ends an episode of at most three words before the second step is over.
            ended = (info["terminal_observation"]["tokens"] == 1).any()
            assert info["TimeLimit.truncated"] == (not ended)
            assert not info["TimeLimit.truncated"] or rewards[row] == 0.0
    assert min(counts.values()) > 0


def test_returns_and_utility_are_those_of_the_episode(make: MakeEnvs) -> None:
    total, length = np.zeros(ROWS), np.zeros(ROWS, dtype=int)
    for _, rewards, dones, infos in steps(DeviceVecEnv(make(ROWS, words=True)), 12):
        assert rewards.dtype == np.float32
        assert dones.dtype == np.bool_
        total, length = total + rewards, length + 1
        for row in dones.nonzero()[0]:
            assert infos[row]["episode"]["r"] == pytest.approx(total[row])
            assert infos[row]["episode"]["l"] == length[row]
            # The feedback is the truth here.
            assert infos[row]["utility"] == pytest.approx(total[row])
            assert set(infos[row]["utility_parts"]) == set(infos[row]["reward_parts"]) != set()
        total[dones], length[dones] = 0.0, 0


def test_observations_are_tensors_or_arrays(make: MakeEnvs) -> None:
    tensors, arrays = DeviceVecEnv(make(2)).reset(), DeviceVecEnv(make(2), numpy=True).reset()
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())
    assert all(isinstance(value, np.ndarray) for value in arrays.values())


def test_writing_to_arrays_changes_no_later_episode(make: MakeEnvs) -> None:
    """An array that shared memory with a tensor would be written to unseen."""
    twins = [DeviceVecEnv(make(ROWS, words=True), numpy=True) for _ in range(2)]
    for (spoilt, _, dones, infos), (kept, *_, later) in zip(
        *(steps(twin, 12) for twin in twins), strict=True
    ):
        assert all(np.array_equal(spoilt[key], kept[key]) for key in kept)
        for row in dones.nonzero()[0]:
            last = infos[row]["terminal_observation"]
            assert all(
                np.array_equal(value, later[row]["terminal_observation"][key]) for key, value in last.items()
            )
            for value in last.values():
                value[...] = 1
        for value in spoilt.values():
            value[...] = 1


def test_the_seed_decides_the_episodes_and_options_reach_the_environment(make: MakeEnvs) -> None:
    vec_env = DeviceVecEnv(make(3))
    images = []
    for seed in (1, 1, 2):
        vec_env.seed(seed)
        images.append(vec_env.reset()["image"])
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    vec_env.set_options({"items": [5, 5, 5]})
    same = vec_env.reset()["image"]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(*vec_env.reset()["image"][:2])
    vec_env.set_options([{"items": [5, 5, 5]}, {}, {}])
    with pytest.raises(ValueError, match="options of the rows differ"):
        vec_env.reset()


def test_attributes_and_methods_belong_to_all_rows(make: MakeEnvs) -> None:
    vec_env = DeviceVecEnv(make(3))
    assert vec_env.get_attr("num_envs") == [3, 3, 3]
    assert vec_env.get_attr("num_envs", [0, 2]) == [3, 3]
    vec_env.set_attr("note", 7)
    assert vec_env.get_attr("note", 1) == [7]
    with pytest.raises(ValueError, match="all rows are one environment"):
        vec_env.set_attr("note", 7, [0])
    assert vec_env.env_method("render", indices=0) == [None]
    assert vec_env.env_is_wrapped(Monitor) == [True] * 3
    assert vec_env.env_is_wrapped(VecMonitor) == [False] * 3
    vec_env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"autoreset_mode": "NextStep"}, "use AutoresetMode.SAME_STEP"),
        ({"autoreset_mode": "Disabled"}, "use AutoresetMode.SAME_STEP"),
        ({"output": "numpy"}, "use output='torch'"),
        ({"copy": False}, "use copy=True"),
    ],
)
def test_environments_that_do_not_fit_are_refused(
    make: MakeEnvs, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DeviceVecEnv(make(2, **arguments))


def test_the_policy_takes_tensors_and_arrays_alike(make: MakeEnvs) -> None:
    arrays = DeviceVecEnv(make(3), numpy=True)
    policy = DevicePolicy(arrays.observation_space, arrays.action_space, lambda _: 1e-3)
    observation = arrays.reset()
    tensors = {key: torch.from_numpy(value) for key, value in observation.items()}
    one, batched = policy.obs_to_tensor({key: value[0] for key, value in tensors.items()})
    assert (batched, one["image"].shape[0]) == (False, 1)
    predictions = [policy.predict(seen, deterministic=True)[0] for seen in (observation, tensors)]
    assert np.array_equal(*predictions)


# Wrappers of Stable-Baselines3 ------------------------------------------------------------------------------

WRAPPERS = wrapper_table("Stable-Baselines3")
REFUSED = r"computes with NumPy arrays and .*: wrap DeviceVecEnv\(envs, numpy=True\)"


def wrapped(name: str, vec_env: VecEnv, folder: Path, **arguments: Any) -> VecEnv:
    """The environment in a wrapper with the arguments that it needs."""
    needed: dict[str, tuple[Any, ...]] = {
        "VecFrameStack": (2,),
        "VecExtractDictObs": (next(iter(vec_env.observation_space.spaces)),),
        "VecVideoRecorder": (str(folder), lambda step: step == 0, 5),
    }
    if name == "VecNormalize" and not arguments:
        arguments = {"norm_obs_keys": [needed["VecExtractDictObs"][0]]}
    outer: VecEnv = getattr(sb3_wrappers, name)(vec_env, *needed.get(name, ()), **arguments)
    return outer


def total_reward(vec_env: VecEnv) -> float:
    """The rewards of 30 random steps."""
    vec_env.seed(0)
    vec_env.reset()
    vec_env.action_space.seed(0)
    total = 0.0
    for _ in range(30):
        actions = np.array([vec_env.action_space.sample() for _ in range(vec_env.num_envs)])
        total += float(vec_env.step(actions)[1].sum())
    return total


def test_the_table_has_every_wrapper() -> None:
    every = {name for name in sb3_wrappers.__all__ if name.startswith("Vec")} - {"VecEnv", "VecEnvWrapper"}
    assert set(WRAPPERS) == every


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("numpy", [False, True])
def test_a_wrapper_works_or_one_sentence_names_the_cure(name: str, numpy: bool, tmp_path: Path) -> None:
    if name == "VecVideoRecorder":
        pytest.importorskip("moviepy")
    # Images here are channels first, which VecTransposeImage refuses itself; candidates are no image to it.
    env = "MMRetrieve-v0" if name == "VecTransposeImage" else "MMClassify-digits-v0"
    picture = "rgb_array" if name == "VecVideoRecorder" else None
    vec_env = DeviceVecEnv(gym.make_vec(env, num_envs=3, render_mode=picture), numpy=numpy)
    if WRAPPERS[name][numpy].startswith("works"):
        total_reward(wrapped(name, vec_env, tmp_path))
        return
    for outer in (wrapped(name, vec_env, tmp_path), wrapped(name, VecMonitor(vec_env), tmp_path)):
        with pytest.raises(ValueError, match=f"{name} {REFUSED}"):
            outer.reset()


@pytest.mark.parametrize(
    ("name", "arguments"), [("VecNormalize", {"norm_obs": False}), ("VecTransposeImage", {"skip": True})]
)
def test_wrappers_that_leave_observations_alone_take_tensors(
    make: MakeEnvs, tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    totals = [
        total_reward(wrapped(name, DeviceVecEnv(make(3), numpy=numpy), tmp_path, **arguments))
        for numpy in (False, True)
    ]
    assert totals[0] == totals[1]


def test_copies_of_a_last_observation_hold_one_row(make: MakeEnvs) -> None:
    *_, infos = next(steps(DeviceVecEnv(make(ROWS)), 1))
    last = infos[2]["terminal_observation"]
    copy = deepcopy(last)
    assert all(torch.equal(copy[key], last[key]) for key in last)
    copy["image"].zero_()
    assert last["image"].any()


def test_learned_rewards_below_hide_no_wrapper(make: MakeEnvs) -> None:
    class Zero:
        sees_reference, deterministic, scores_prefix = False, True, False

        def score(self, episodes: Episodes) -> Judgement:
            return Judgement(torch.zeros(len(episodes)))

    vec_env = VecCheckNan(RewardVecEnv(DeviceVecEnv(make(2)), Zero()))
    with pytest.raises(ValueError, match=f"VecCheckNan {REFUSED}"):
        vec_env.reset()


def test_training_refuses_at_once_or_trains(make: MakeEnvs) -> None:
    with pytest.raises(ValueError, match=f"VecFrameStack {REFUSED}"):
        learn(make_trainer("sb3-a2c", VecFrameStack(DeviceVecEnv(make(2)), 2), features=16), 32)
    learn(make_trainer("sb3-a2c", VecFrameStack(DeviceVecEnv(make(2), numpy=True), 2), features=16), 32)
    with pytest.raises(ValueError, match="need Dict observations and these are Image"):
        make_trainer("sb3-ppo", VecExtractDictObs(DeviceVecEnv(make(2)), "image"))
