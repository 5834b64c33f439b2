"""How good a policy is: reward and true utility over whole episodes, with an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.names import at_least

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

Policy = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes with its 95 % interval (Student's t; the episodes are independent).

    Attributes:
        mean: The mean.
        low: Lower end of the interval; minus infinity from a single episode.
        high: Upper end; infinity from a single episode.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[Any]) -> Estimate:
        """The estimate from one value per episode.

        Example:
            >>> estimate = Estimate.of(np.array([0.0, 1.0, 1.0, 1.0]))
            >>> estimate.mean, round(estimate.low, 3), round(estimate.high, 3)
            (0.75, -0.046, 1.546)
        """
        from scipy.special import stdtrit

        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, -math.inf, math.inf)
        half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(n)
        return cls(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Evaluation:
    """What a policy reached, episode by episode.

    Attributes:
        reward: Return of each episode, (episodes,) float64: what the feedback gave.
        utility: True utility of each episode, (episodes,) float64: what it deserved.
        length: Steps of each episode, (episodes,) int64.
        item: The dataset item of each episode, (episodes,) int64.
    """

    reward: NDArray[np.float64]
    utility: NDArray[np.float64]
    length: NDArray[np.int64]
    item: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.utility)

    @property
    def mean_reward(self) -> Estimate:
        """Mean return with its 95 % interval."""
        return Estimate.of(self.reward)

    @property
    def mean_utility(self) -> Estimate:
        """Mean true utility with its 95 % interval."""
        return Estimate.of(self.utility)


def evaluate(
    policy: Policy,
    envs: gym.vector.VectorEnv[Any, Any, Any],
    episodes: int = 1000,
    seed: int = 0,
    items: Tensor | None = None,
) -> Evaluation:
    """Runs a policy over whole episodes, the same number in every row.

    Every row counts its first ``ceil(episodes / num_envs)`` episodes and no more: counting whichever episodes
    end first would favour short ones. So slightly more episodes than asked for may be counted.

    Args:
        policy: Observations (a dict of tensors) to actions; called without gradients.
        envs: A multimodal vector environment with SAME_STEP autoreset and torch output, made with the split
            to evaluate on (``split="test"``).
        episodes: How many episodes to count at least.
        seed: Decides the items and the noise of the feedback.
        items: Dataset items to show, one a row, each in one episode; ``episodes`` is not looked at then.

    Raises:
        ValueError: ``episodes`` is below 1, the policy cannot be called, or the environment does not fit.
    """
    at_least("episodes", episodes, 1, "count at least one")
    _refuse_others(policy, envs)
    each = math.ceil(episodes / envs.num_envs) if items is None else 1
    observation, _ = envs.reset(seed=seed, options=None if items is None else {"items": items})
    tally = _Tally(envs.num_envs, each)
    with torch.no_grad():
        while not tally.complete:
            observation, _, _, _, info = envs.step(policy(observation))
            if "final_info" in info:
                tally.add(info["final_info"], info["_final_info"])
    return tally.evaluation()


def _refuse_others(policy: object, envs: gym.vector.VectorEnv[Any, Any, Any]) -> None:
    """Refuses what is no policy, and environments that it cannot be evaluated in."""
    if not callable(policy):
        cure = "give a function of observations"
        for attribute, model in (("policy", "sb3_policy(model)"), ("model", "sb3_policy(agent.model)")):
            cure = f"give {model}" if hasattr(policy, attribute) else cure
        raise ValueError(f"policy is of type {type(policy).__name__} and cannot be called: {cure}")
    if not isinstance(envs, gym.vector.VectorEnv):
        raise ValueError(f"envs is of type {type(envs).__name__}: make it with gym.make_vec(ID, num_envs=N)")
    mode = envs.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"autoreset_mode={mode} does not fit: use AutoresetMode.SAME_STEP")
    if getattr(envs.unwrapped, "output", "torch") != "torch":
        raise ValueError("output='numpy' does not fit, since policies take tensors: use output='torch'")


class _Tally:
    """The first few episodes of every row."""

    def __init__(self, rows: int, each: int) -> None:
        self._each = each
        self._count = np.zeros(rows, dtype=np.int64)
        # One column more than is counted: later episodes of a quick row are written there.
        self._columns = {
            name: np.zeros((rows, each + 1), dtype=np.float64)
            for name in ("reward", "utility", "length", "item")
        }

    @property
    def complete(self) -> bool:
        return bool((self._count >= self._each).all())

    def add(self, final: Mapping[str, Any], ended: Tensor) -> None:
        values = {
            "reward": final["episode"]["r"],
            "utility": final["utility"],
            "length": final["episode"]["l"],
            "item": final["item"],
        }
        rows = ended.cpu().numpy().nonzero()[0]
        place = np.minimum(self._count[rows], self._each)
        for name, column in values.items():
            self._columns[name][rows, place] = column.cpu().numpy()[rows]
        self._count[rows] += 1

    def evaluation(self) -> Evaluation:
        kept = {name: column[:, : self._each].ravel() for name, column in self._columns.items()}
        length, item = kept["length"].astype(np.int64), kept["item"].astype(np.int64)
        return Evaluation(kept["reward"], kept["utility"], length, item)


def sb3_policy(model: BaseAlgorithm, deterministic: bool = True) -> Policy:
    """A model of Stable-Baselines3 as a policy: tensors in, tensors out, on its device.

    Args:
        model: A trained model, for instance ``agent.model``.
        deterministic: Take the likeliest action (the default) rather than draw one. Drawing uses torch's
            process-wide generator.
    """
    policy: Any = model.policy
    space = model.action_space
    bounds: tuple[Tensor, Tensor] | None = None
    if isinstance(space, gym.spaces.Box):
        low, high = (
            torch.as_tensor(np.array(bound), device=model.device) for bound in (space.low, space.high)
        )
        bounds = low, high

    def act(observation: Mapping[str, Tensor]) -> Tensor:
        policy.set_training_mode(False)
        tensors = {key: value.to(model.device) for key, value in observation.items()}
        with torch.no_grad():
            actions: Tensor = policy._predict(tensors, deterministic=deterministic)
        if bounds is None:
            return actions
        # A Gaussian policy may leave the bounds of its action space; Stable-Baselines3 clips in training too.
        return actions.view(-1, *bounds[0].shape).clamp(*bounds)

    return act
