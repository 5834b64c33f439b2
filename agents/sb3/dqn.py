"""DQN that explores row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import DQN


class RowwiseDQN(DQN):
    """DQN (Mnih et al., 2015) whose epsilon-greedy exploration draws one coin per row.

    That of Stable-Baselines3 draws one coin per *batch*: with many environments, whole steps are random or
    greedy in all of them at once. The coins come from a generator of this agent, seeded by ``seed``.
    """

    def _setup_model(self) -> None:
        super()._setup_model()
        self.exploration = np.random.default_rng(self.seed)

    def predict(
        self,
        observation: Any,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Actions by the policy; without ``deterministic`` each is random with the exploration rate.

        Args:
            observation: A batch of observations, or one.
            state: Handed on.
            episode_start: Handed on.
            deterministic: Never explore.
        """
        greedy, state = self.policy.predict(observation, state, episode_start, deterministic)
        if deterministic:
            return greedy, state
        space: Any = self.action_space
        shape = np.shape(greedy)
        anything = space.start + self.exploration.integers(space.n, size=shape)
        coin = self.exploration.random(shape) < self.exploration_rate
        return np.where(coin, anything, greedy), state
