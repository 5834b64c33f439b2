"""Evaluation of a policy: reward and true utility over whole episodes, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from agents.acting import EpisodeHashes, Policy
from agents.trainer import vector_environment
from mm_envs.names import at_least
from mm_envs.statistics import Interval, mean_interval


@dataclass(frozen=True)
class Evaluation:
    """The scores of a policy, episode by episode.

    Attributes:
        reward: Return of each episode, (episodes,) float64: what the feedback gave.
        utility: True utility of each episode, (episodes,) float64.
        length: Steps of each episode, (episodes,) int64.
        item: The dataset item of each episode, (episodes,) int64.
        response: The answer of each episode, (episodes, ...), as ``Episodes.response``.
    """

    reward: NDArray[np.float64]
    utility: NDArray[np.float64]
    length: NDArray[np.int64]
    item: NDArray[np.int64]
    response: Tensor

    def __len__(self) -> int:
        return len(self.utility)

    @property
    def mean_reward(self) -> Interval:
        """Mean return with its 95 % interval."""
        return mean_interval(self.reward)

    @property
    def mean_utility(self) -> Interval:
        """Mean true utility with its 95 % interval."""
        return mean_interval(self.utility)


def evaluate(
    policy: Policy,
    envs: gym.vector.VectorEnv[Any, Any, Any],
    episodes: int = 1000,
    seed: int = 0,
    items: Tensor | None = None,
) -> Evaluation:
    """Runs a policy over whole episodes, the same number in every row.

    Every row counts its first ``ceil(episodes / num_envs)`` episodes: counting the episodes that end first
    would favour short ones. So slightly more episodes than asked for may be counted.

    Args:
        policy: The policy, see ``agents.acting``; called without gradients.
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
    observation, info = envs.reset(seed=seed, options=None if items is None else {"items": items})
    tally = _Tally(envs.num_envs, each)
    hashes = EpisodeHashes(seed, envs.num_envs, getattr(envs.unwrapped, "device", "cpu"))
    with torch.no_grad():
        while not tally.complete:
            observation, _, _, _, info = envs.step(policy(observation, hashes(info)))
            if "final_info" in info:
                tally.add(info["final_info"], info["_final_info"])
    return tally.evaluation()


def _refuse_others(policy: object, envs: gym.vector.VectorEnv[Any, Any, Any]) -> None:
    """Refuses what is no policy, and environments that it cannot be evaluated in."""
    if not callable(policy):
        cure = "give a function of observations and hashes"
        for attribute, given in (("policy", "sb3_policy(model)"), ("curve", "trainer.policy()")):
            cure = f"give {given}" if hasattr(policy, attribute) else cure
        raise ValueError(f"policy is of type {type(policy).__name__} and cannot be called: {cure}")
    mode = vector_environment(envs).metadata.get("autoreset_mode")
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
        names = ("reward", "utility", "length", "item")
        self._columns = {name: np.zeros((rows, each + 1)) for name in names}
        self._responses: Tensor | None = None

    @property
    def complete(self) -> bool:
        """Whether every row has its episodes."""
        return bool((self._count >= self._each).all())

    def add(self, final: Mapping[str, Any], ended: Tensor) -> None:
        """Counts the episodes of the rows that ended, (rows,) bool."""
        values = {
            "reward": final["episode"]["r"],
            "utility": final["utility"],
            "length": final["episode"]["l"],
            "item": final["item"],
        }
        rows = ended.cpu().numpy().nonzero()[0]
        position = np.minimum(self._count[rows], self._each)
        for name, column in values.items():
            self._columns[name][rows, position] = column.cpu().numpy()[rows]
        responses = final["response"].cpu()
        if self._responses is None:
            self._responses = responses.new_zeros((len(self._count), self._each + 1, *responses.shape[1:]))
        self._responses[rows, position] = responses[rows]
        self._count[rows] += 1

    def evaluation(self) -> Evaluation:
        """The counted episodes, row by row."""
        kept = {name: column[:, : self._each].ravel() for name, column in self._columns.items()}
        length, item = kept["length"].astype(np.int64), kept["item"].astype(np.int64)
        assert self._responses is not None
        responses = self._responses[:, : self._each].flatten(0, 1)
        return Evaluation(kept["reward"], kept["utility"], length, item, responses)
