"""A small vector environment that keeps every rule: NumPy or torch, in all autoreset modes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

SAME, NEXT, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED
MODES = (SAME, NEXT, DISABLED)
LIMIT = 4


class Counting(VectorEnv[Any, Any, Any]):
    """Each action is added to a count that starts at random; episodes end at a random step.

    ``pixels`` is a random picture of the episode. An episode terminates after 1 to 6 steps; at 4 steps it is
    truncated. Row r of the environment draws from (seed, first_row + r, episode), and from nothing else.

    Args:
        num_envs: The number of rows.
        autoreset_mode: Any of the three.
        output: "numpy" or "torch".
        first_row: The number of the first row.
    """

    def __init__(
        self,
        num_envs: int = 4,
        autoreset_mode: AutoresetMode = SAME,
        output: str = "numpy",
        first_row: int = 0,
    ) -> None:
        self.num_envs, self.mode, self.output, self.first_row = num_envs, autoreset_mode, output, first_row
        self.metadata = {"autoreset_mode": autoreset_mode}
        if output == "torch":
            self.device = torch.device("cpu")
        self.single_observation_space = gym.spaces.Dict(
            pixels=gym.spaces.Box(0, 255, (1, 2, 3), np.uint8), count=gym.spaces.Box(0, 99, (1,), np.int64)
        )
        self.single_action_space = gym.spaces.Discrete(3)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.base = int(np.random.SeedSequence().generate_state(1)[0])
        self.pixels = np.zeros((num_envs, 1, 2, 3), np.uint8)
        self.count = np.zeros((num_envs, 1), np.int64)
        self.length, self.steps, self.episode = (np.zeros(num_envs, np.int64) for _ in range(3))
        self.total = np.zeros(num_envs, np.float32)
        self.ended = np.zeros(num_envs, np.bool_)

    # What a row draws, and how it starts ------------------------------------------------------------------

    def generator(self, row: int) -> np.random.Generator:
        return np.random.default_rng([self.base, self.first_row + row, int(self.episode[row])])

    def begin(self, mask: np.ndarray) -> None:
        for row in np.flatnonzero(mask):
            rng = self.generator(row)
            self.pixels[row] = rng.integers(0, 256, self.pixels[row].shape)
            self.count[row] = rng.integers(0, 50)
            self.length[row] = rng.integers(1, 7)
        self.episode[mask] += 1
        self.steps[mask], self.total[mask], self.ended[mask] = 0, 0, False

    # What is returned -------------------------------------------------------------------------------------

    def give(self, array: np.ndarray) -> Any:
        return array.copy() if self.output == "numpy" else torch.from_numpy(array.copy())

    def observe(self) -> dict[str, Any]:
        return {"pixels": self.give(self.pixels), "count": self.give(self.count)}

    def final_observation(self) -> Any:
        final = self.observe()
        if self.output == "torch":
            return final
        singles = np.empty(self.num_envs, dtype=object)
        for row in np.flatnonzero(self.ended):
            singles[row] = {key: value[row] for key, value in final.items()}
        return singles

    def episodes(self) -> dict[str, Any]:
        statistics = {"r": self.give(self.total), "l": self.give(self.steps)}
        return {"episode": statistics, "_episode": self.give(self.ended)}

    def what_ended(self) -> dict[str, Any]:
        if not self.ended.any():
            return {}
        if self.mode is not SAME:
            return self.episodes()
        info = {"final_obs": self.final_observation(), "final_info": self.episodes()}
        return info | {f"_{key}": self.give(self.ended) for key in info}

    # The protocol -----------------------------------------------------------------------------------------

    def chosen(self, options: dict[str, Any] | None) -> np.ndarray:
        mask = (options or {}).get("reset_mask")
        return np.ones(self.num_envs, np.bool_) if mask is None else np.asarray(mask).astype(np.bool_)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.base = seed
            self.episode[:] = 0
        self.begin(self.chosen(options))
        return self.observe(), {}

    def check_actions(self, actions: np.ndarray) -> None:
        if actions.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {actions.shape} instead of ({self.num_envs},)")

    def advance(self, actions: np.ndarray, resting: np.ndarray) -> np.ndarray:
        self.steps += ~resting
        self.count[:, 0] += np.where(resting, 0, actions)
        reward = np.where(resting, 0, 0.5 * actions).astype(np.float32)
        self.total += reward
        return reward

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        actions = np.asarray(actions)
        self.check_actions(actions)
        resting = self.ended.copy()
        if self.mode is NEXT:
            self.begin(resting)
        reward = self.advance(actions, resting)
        terminated = ~resting & (self.steps >= self.length)
        truncated = ~resting & ~terminated & (self.steps >= LIMIT)
        self.ended = terminated | truncated
        return self.finish(reward, terminated, truncated)

    def finish(
        self, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        info = self.what_ended()
        if self.mode is SAME:
            self.begin(self.ended)
        return self.observe(), self.give(reward), self.give(terminated), self.give(truncated), info
