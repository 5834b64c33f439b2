"""A training that was stopped or killed goes on as if it had not been."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.sb3.checkpoints import Checkpoints
from agents.sb3.settings import A2CSettings, DQNSettings, PPOSettings
from agents.sb3.train import Agent, learn, make_agent, resume

MakeEnvs: TypeAlias = Callable[..., gym.vector.VectorEnv]
SETTINGS: dict[str, Any] = {
    "ppo": PPOSettings(n_steps=4, n_epochs=2, n_minibatches=2),
    "a2c": A2CSettings(n_steps=4),
    # A small buffer, so that the ring has gone round; updates and copies of the target within a few rollouts.
    "dqn": DQNSettings(buffer_size=128, learning_starts=24, batch_size=8, target_update_interval=40),
}
STEPS = 320


class Killed(BaseException):
    """What nothing on the way catches."""


@pytest.fixture
def made(make: MakeEnvs) -> Callable[..., Agent]:
    """Makes a small agent."""

    def make_one(algo: str, *, rows: int = 8, words: bool = True, **arguments: Any) -> Agent:
        envs = make(rows, words, feedback="rater", **arguments.pop("envs", {}))
        settings = arguments.pop("settings", SETTINGS[algo])
        return make_agent(algo, envs, seed=5, settings=settings, features=16, hidden=8, **arguments)

    return make_one


def everything(agent: Agent) -> dict[str, Any]:
    """Whatever a training leaves, in a form that can be compared."""
    optimiser = agent.model.policy.optimizer.state_dict()["state"]
    said = {
        "weights": {name: value.tolist() for name, value in agent.model.policy.state_dict().items()},
        "optimiser": {i: {k: v.tolist() for k, v in entry.items()} for i, entry in optimiser.items()},
        "curve": [(point.step, point.total, point.reward, point.utility) for point in agent.curve.points],
        "episodes": [(one["r"], one["l"]) for one in agent.model.ep_info_buffer],
        "torch": agent.generators.torch.tolist(),
        "numbers": agent.generators.numbers(),
        "updates": agent.model._n_updates,
    }
    buffer = getattr(agent.model, "replay_buffer", None)
    if buffer is not None:
        said["buffer"] = (buffer.pos, buffer.full, buffer.rewards.tolist())
        said["seen"] = {key: array.tobytes() for key, array in buffer.observations.items()}
        said["next"] = {key: array.tobytes() for key, array in buffer.next_observations.items()}
    return said


def kill_after(agent: Agent, steps: int) -> None:
    """Lets an agent be killed in the middle of a rollout, after some steps of its environment."""
    env: Any = agent.model.env
    step_wait, left = env.step_wait, [steps]

    def killed() -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return step_wait()

    env.step_wait = killed


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("algo", SETTINGS)
def test_a_killed_training_goes_on_bit_for_bit(
    made: Callable[..., Agent], tmp_path: Path, algo: str, limit: int | None
) -> None:
    """Killed in the middle of rollouts at seeded moments, several times; checkpoints every second rollout."""
    envs = {} if limit is None else {"max_episode_steps": limit}
    whole = made(algo, envs=envs)
    learn(whole, STEPS)
    rng = np.random.default_rng([*algo.encode(), limit or 0])
    kills, agent = 0, made(algo, envs=envs)
    while True:
        kill_after(agent, int(rng.integers(2, 14)) if kills < 5 else STEPS)
        checkpoints = Checkpoints(tmp_path, seconds=math.inf, rollouts=2)
        try:
            if kills == 0:
                learn(agent, STEPS, checkpoints=checkpoints)
            else:
                resume(agent, checkpoints)
            break
        except Killed:
            kills, agent = kills + 1, made(algo, envs=envs)
            torch.rand(3)  # what else draws from the process-wide generators does not matter
    assert kills == 5
    assert everything(agent) == everything(whole)
