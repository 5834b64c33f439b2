"""A rollout buffer of Stable-Baselines3 that is made of tensors on the device."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from torch import Tensor


class DeviceRolloutBuffer(DictRolloutBuffer):
    """Stores a rollout as tensors on the device, allocated once and used again for every rollout.

    The stock buffer turns observations into NumPy arrays, allocates all of them anew for every rollout,
    copies them to change their order and moves every minibatch back. Here an observation is written once and
    gathered once per minibatch. Minibatches hold the same transitions in the same order as the stock ones.

    Used as ``rollout_buffer_class``. Observations may come as tensors or as NumPy arrays.

    Attributes:
        observations: Entries of shape (steps, rows, ...), of the dtype of their space.
        actions: (steps, rows, numbers of an action).
        rewards: (steps, rows) float32, as are ``advantages``, ``log_probs`` and ``episode_starts``.
    """

    rewards: Tensor  # type: ignore[assignment]
    advantages: Tensor  # type: ignore[assignment]
    episode_starts: Tensor  # type: ignore[assignment]
    log_probs: Tensor  # type: ignore[assignment]
    _values: Tensor
    _returns: Tensor

    def reset(self) -> None:
        """Starts a new rollout in the same tensors."""
        if "observations" not in self.__dict__:
            self._allocate()
        self.pos, self.full = 0, False

    def _allocate(self) -> None:
        rollout = (self.buffer_size, self.n_envs)
        self.observations: dict[str, Tensor] = {  # type: ignore[assignment]
            key: torch.zeros(
                (*rollout, *shape), dtype=_dtype(self.observation_space[key]), device=self.device
            )
            for key, shape in self.obs_shape.items()
        }
        # Minibatches give actions as float32, as those of the stock buffer do.
        self.actions: Tensor = torch.zeros((*rollout, self.action_dim), device=self.device)  # type: ignore[assignment]
        for name in ("rewards", "advantages", "episode_starts", "log_probs", "_values", "_returns"):
            setattr(self, name, torch.zeros(rollout, device=self.device))

    @property
    def values(self) -> NDArray[np.float32]:  # type: ignore[override]
        """Values (steps, rows) on the host, for the explained variance that the algorithms log."""
        return self._values.cpu().numpy()

    @property
    def returns(self) -> NDArray[np.float32]:  # type: ignore[override]
        """Returns (steps, rows) on the host, for the explained variance that the algorithms log."""
        return self._returns.cpu().numpy()

    def add(  # type: ignore[override]
        self,
        obs: Mapping[str, Tensor | NDArray[Any]],
        action: NDArray[Any],
        reward: NDArray[np.float32],
        episode_start: NDArray[np.bool_],
        value: Tensor,
        log_prob: Tensor,
    ) -> None:
        """Writes one step of all rows; ``episode_start`` marks first observations of episodes."""
        for key, stored in self.observations.items():
            stored[self.pos].copy_(torch.as_tensor(obs[key]).reshape(stored.shape[1:]))
        self.actions[self.pos].copy_(torch.as_tensor(action).reshape(self.n_envs, self.action_dim))
        self.rewards[self.pos].copy_(torch.as_tensor(reward))
        self.episode_starts[self.pos].copy_(torch.as_tensor(episode_start))
        self._values[self.pos].copy_(value.detach().flatten())
        self.log_probs[self.pos].copy_(log_prob.detach().flatten())
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def compute_returns_and_advantage(self, last_values: Tensor, dones: NDArray[np.bool_]) -> None:
        """Generalised advantage estimation (Schulman et al., 2016) and TD(lambda) returns, on the device."""
        values, starts = self._values, self.episode_starts
        next_values = last_values.detach().flatten()
        going_on = 1.0 - torch.as_tensor(dones, device=self.device).float()
        advantage = torch.zeros_like(next_values)
        for step in reversed(range(self.buffer_size)):
            delta = self.rewards[step] + self.gamma * next_values * going_on - values[step]
            advantage = delta + self.gamma * self.gae_lambda * going_on * advantage
            self.advantages[step] = advantage
            next_values, going_on = values[step], 1.0 - starts[step]
        self._returns = self.advantages + values

    def get(  # type: ignore[override]
        self, batch_size: int | None = None
    ) -> Generator[DictRolloutBufferSamples, None, None]:
        """Minibatches of a complete rollout in the random order of Stable-Baselines3; None for one batch."""
        if not self.full:
            raise ValueError(f"the rollout has {self.pos} of {self.buffer_size} steps: complete it first")
        total = self.buffer_size * self.n_envs
        indices = np.random.permutation(total)
        for start in range(0, total, batch_size or total):
            yield self._get_samples(indices[start : start + (batch_size or total)])

    def _get_samples(  # type: ignore[override]
        self, batch_inds: NDArray[np.int64], env: Any = None
    ) -> DictRolloutBufferSamples:
        # The stock buffer numbers transitions row by row; these tensors are stored step by step.
        row, step = np.divmod(batch_inds, self.buffer_size)
        index = torch.as_tensor(step * self.n_envs + row, device=self.device)
        return DictRolloutBufferSamples(
            observations={
                key: take(stored.flatten(0, 1), index) for key, stored in self.observations.items()
            },
            actions=take(self.actions.flatten(0, 1), index),
            old_values=take(self._values.flatten(), index),
            old_log_prob=take(self.log_probs.flatten(), index),
            advantages=take(self.advantages.flatten(), index),
            returns=take(self._returns.flatten(), index),
        )


def take(values: Tensor, index: Tensor) -> Tensor:
    """Rows of a contiguous tensor; bytes are moved eight at a time, which is many times as fast.

    Example:
        >>> take(torch.arange(6, dtype=torch.uint8).reshape(3, 2), torch.tensor([2, 0])).tolist()
        [[4, 5], [0, 1]]
    """
    row = values[0].numel()
    if values.dtype is torch.uint8 and row and row % 8 == 0:
        words = values.view(len(values), row).view(torch.int64).index_select(0, index)
        return words.view(torch.uint8).view(len(index), *values.shape[1:])
    return values.index_select(0, index)


def _dtype(space: gym.Space[Any]) -> torch.dtype:
    return torch.from_numpy(np.zeros(1, space.dtype)).dtype
