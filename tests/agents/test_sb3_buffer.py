"""The rollout buffer on the device: the same training as the stock one, and no observation becomes NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.sb3.buffer import DeviceRolloutBuffer, take
from agents.sb3.policy import DevicePolicy, policy_arguments
from agents.sb3.vec_env import DeviceVecEnv
from mm_envs.engine.buffers import FinalObservation
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.spaces import Image, Vector

MakeEnvs: TypeAlias = Callable[..., gym.vector.VectorEnv]
SMALL = policy_arguments(features=16, hidden=8)
ALGORITHMS: dict[type[OnPolicyAlgorithm], dict[str, Any]] = {
    PPO: {"n_steps": 4, "batch_size": 8, "n_epochs": 2, "gamma": 0.9},
    A2C: {"n_steps": 3, "gamma": 0.9},
}


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_training_equals_that_of_the_stock_buffer(
    make: MakeEnvs, algorithm: type[OnPolicyAlgorithm], words: bool
) -> None:
    """Also where episodes are cut off and the value of the last observation counts."""
    limit = {"max_episode_steps": 2} if words else {}
    weights = []
    for ours in (True, False):
        model = algorithm(  # type: ignore[call-arg]
            DevicePolicy if ours else "MultiInputPolicy",
            DeviceVecEnv(make(4, words, **limit), numpy=not ours),
            rollout_buffer_class=DeviceRolloutBuffer if ours else DictRolloutBuffer,
            policy_kwargs=SMALL,
            seed=5,
            device="cpu",
            **ALGORITHMS[algorithm],
        )
        before = torch.nn.utils.parameters_to_vector(model.policy.parameters()).detach().clone()
        model.learn(48)
        after = torch.nn.utils.parameters_to_vector(model.policy.parameters()).detach()
        assert not torch.equal(before, after)
        weights.append(after)
    assert torch.allclose(*weights, atol=1e-6)


def forbid_numpy(monkeypatch: pytest.MonkeyPatch, space: gym.spaces.Dict) -> None:
    """Any tensor shaped like entries of an observation, however it came about, refuses to leave for NumPy.

    Within its calls the engine may: on the CPU it writes its tensors through NumPy.
    """
    shapes = {part.shape for part in space.values() if part.shape != (1,)}
    inside: list[str] = []
    calls = [(MultimodalVectorEnv, "reset"), (MultimodalVectorEnv, "step"), (FinalObservation, "__getitem__")]
    for owner, name in calls:
        call = getattr(owner, name)

        def entered(*args: Any, _call: Any = call, **kwargs: Any) -> Any:
            inside.append("engine")
            try:
                return _call(*args, **kwargs)
            finally:
                inside.pop()

        monkeypatch.setattr(owner, name, entered)
    for name in ("numpy", "__array__"):
        original = getattr(torch.Tensor, name)

        def guarded(self: torch.Tensor, *args: Any, _original: Any = original, **kwargs: Any) -> Any:
            if not inside and any(tuple(self.shape[i:]) in shapes for i in range(self.ndim)):
                raise AssertionError(f"an observation of shape {tuple(self.shape)} became NumPy")
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, guarded)


@pytest.mark.parametrize("words", [False, True])
def test_no_observation_becomes_numpy(make: MakeEnvs, monkeypatch: pytest.MonkeyPatch, words: bool) -> None:
    """In a whole training: rollouts, episodes cut off, minibatches, logging."""
    # Seven words, since hashes for the three colours of a pixel look like answers of three.
    envs = DeviceVecEnv(make(4, words, **({"max_episode_steps": 2, "max_tokens": 7} if words else {})))
    forbid_numpy(monkeypatch, envs.observation_space)
    arguments = {**ALGORITHMS[PPO], "rollout_buffer_class": DeviceRolloutBuffer, "device": "cpu"}
    PPO(DevicePolicy, envs, policy_kwargs=SMALL, **arguments).learn(32)
    stock = PPO("MultiInputPolicy", envs, policy_kwargs=SMALL, **{**arguments, "rollout_buffer_class": None})
    with pytest.raises(AssertionError, match="became NumPy"):
        stock.learn(32)


def buffers(rows: int = 3, steps: int = 4) -> list[Any]:
    space = gym.spaces.Dict(
        {"image": Image(36, 36, 1), "vector": Vector(2), "choice": gym.spaces.Discrete(5)}
    )
    arguments = (steps, space, gym.spaces.Discrete(7), "cpu")
    return [kind(*arguments, n_envs=rows) for kind in (DeviceRolloutBuffer, DictRolloutBuffer)]


def fill(buffer: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = buffer.n_envs
    for _ in range(buffer.buffer_size):
        observation = {
            "image": rng.integers(0, 256, (rows, 1, 36, 36), dtype=np.uint8),
            "vector": rng.random((rows, 2), dtype=np.float32),
            "choice": rng.integers(0, 5, rows),
        }
        reward, start = rng.random(rows, dtype=np.float32), rng.random(rows) < 0.3
        value, log_prob = torch.from_numpy(rng.random((2, rows), dtype=np.float32))
        buffer.add(observation, rng.integers(0, 7, (rows, 1)), reward, start, value[:, None], log_prob)
    last = torch.from_numpy(rng.random((rows, 1), dtype=np.float32))
    buffer.compute_returns_and_advantage(last, rng.random(rows) < 0.5)


@pytest.mark.parametrize("batch_size", [None, 5])
def test_minibatches_are_those_of_the_stock_buffer(batch_size: int | None) -> None:
    for seed in range(2):
        batches = []
        for buffer in buffers():
            buffer.reset()
            fill(buffer, seed)
            np.random.seed(seed)
            batches.append(list(buffer.get(batch_size)))
        for ours, stock in zip(*batches, strict=True):
            for key, value in stock.observations.items():
                assert torch.equal(ours.observations[key], value)
                assert ours.observations[key].dtype == value.dtype
            for name in ("actions", "old_values", "old_log_prob", "advantages", "returns"):
                assert torch.allclose(getattr(ours, name), getattr(stock, name), atol=1e-6)


def test_the_same_tensors_serve_every_rollout() -> None:
    buffer, _ = buffers()
    storage = {key: value.data_ptr() for key, value in buffer.observations.items()}
    for seed in range(2):
        fill(buffer, seed)
        buffer.reset()
    assert storage == {key: value.data_ptr() for key, value in buffer.observations.items()}


def test_a_rollout_that_is_not_complete_is_refused() -> None:
    buffer, _ = buffers()
    with pytest.raises(ValueError, match="the rollout has 0 of 4 steps"):
        next(buffer.get(2))


@pytest.mark.parametrize("shape", [(3, 8, 8), (7,), (8,), (0,)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_take_is_indexing(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = torch.randint(0, 256, (5, *shape)).to(dtype)
    index = torch.tensor([4, 0, 0, 2])
    assert torch.equal(take(values, index), values[index])
