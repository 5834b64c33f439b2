"""Learned rewards for environments that are not ours: a wrapper for any ``VecEnv`` of Stable-Baselines3."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvWrapper
from torch import Tensor

from feedback.relabel import check_feedback, relabel, rewards_of
from feedback.transitions import (
    Adapter,
    Transitions,
    actions_of,
    channels_first,
    entries,
    observation_and_action,
    put_row,
)
from mm_envs.episodes import Feedback


class RewardVecEnv(VecEnvWrapper):
    """Replaces the reward of an environment by that of a feedback source, all rows in one call a step.

    Every info carries ``original_reward``, the true reward of the step as a float. The info of a row that
    ended carries ``learned_return``, the sum of learned rewards of the episode; ``episode``, which
    ``Monitor`` wrote below, keeps the true return. Pictures are channels first for the feedback, wherever
    ``VecTransposeImage`` is. The next observation of an episode that ended is its ``terminal_observation``.
    Put ``VecNormalize`` on top: observations below it are not normalised, as in the fit of a reward model.

    Args:
        venv: The environment, of any observation and action space; reset it through this wrapper.
        feedback: A source that does not see the reference: a learned reward, for instance.
        adapter: Makes an episode of each step.
        device: The device of its tensors.

    Raises:
        ValueError: The feedback needs the reference, or ``venv`` is no ``VecEnv`` or is wrapped already.

    Example:
        >>> from stable_baselines3.common.env_util import make_vec_env
        >>> from mm_envs.episodes import Episodes, Judgement
        >>> class Left:
        ...     sees_reference, deterministic, scores_prefix = False, True, False
        ...     def score(self, episodes: Episodes) -> Judgement:
        ...         return Judgement((episodes.response == 0).float())
        >>> venv = RewardVecEnv(make_vec_env("CartPole-v1", n_envs=2), Left())
        >>> _ = venv.reset()
        >>> _, reward, _, infos = venv.step(np.array([0, 1]))
        >>> reward.tolist(), [info["original_reward"] for info in infos]
        ([1.0, 0.0], [1.0, 1.0])
    """

    keeps_observations = True  # for the check of wrappers by DeviceVecEnv

    def __init__(
        self,
        venv: VecEnv,
        feedback: Feedback,
        adapter: Adapter = observation_and_action,
        device: torch.device | str = "cpu",
    ) -> None:
        check_feedback(feedback)
        if not isinstance(venv, VecEnv):
            raise ValueError(
                f"{venv} is no VecEnv of Stable-Baselines3: make it one, for instance by DummyVecEnv"
            )
        below: Any = venv
        while isinstance(below, VecEnvWrapper):
            if isinstance(below, RewardVecEnv):
                raise ValueError(
                    "the rewards of this environment are replaced already: wrap the one below it"
                )
            below = below.venv
        super().__init__(venv)
        self.feedback, self.adapter, self.device = feedback, adapter, device
        self._before: dict[str, Tensor] | None = None
        self._returns = np.zeros(self.num_envs)

    def reset(self) -> Any:
        """Starts new episodes in all rows; returns observations only."""
        observation = self.venv.reset()
        self._before = self._seen(observation)
        self._returns[:] = 0
        return _copied(observation)

    def step_async(self, actions: Any) -> None:
        """Takes the actions of the step, one a row."""
        self._actions = actions_of(actions, self.action_space, self.device)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Observations, learned rewards (n,) float32, dones (n,) bool and infos of the step."""
        if self._before is None:
            raise RuntimeError(
                "step before reset: reset through this wrapper, so that it sees where episodes start"
            )
        observation, true, dones, infos = self.venv.step_wait()
        seen, done = self._seen(observation), np.array(dones, dtype=bool)
        steps = Transitions(
            channels_first(self._before, self.observation_space),
            self._actions,
            lambda: self._after(seen, done, infos),
        )
        reward = rewards_of(steps, self.feedback, self.adapter)
        self._before = seen
        return _copied(observation), reward, done, self._annotated(infos, true, reward, done)

    def relabel(self, buffer: ReplayBuffer) -> int:
        """Gives the rewards in a replay buffer anew: see ``feedback.relabel.relabel``."""
        return relabel(buffer, self.feedback, self.adapter, device=self.device)

    def _seen(self, observation: Any) -> dict[str, Tensor]:
        return entries(observation, self.observation_space, self.device)

    def _after(
        self, seen: dict[str, Tensor], done: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> dict[str, Tensor]:
        """What the step led to: the observations, with the last ones of the episodes that ended."""
        after = {key: value.clone() for key, value in seen.items()}
        for row in done.nonzero()[0].tolist():
            if "terminal_observation" not in infos[row]:
                raise ValueError(
                    f"row {row} ended, but its info has no 'terminal_observation': the environment must "
                    "give it, as the VecEnvs of Stable-Baselines3 do"
                )
            put_row(after, row, infos[row]["terminal_observation"])
        return channels_first(after, self.observation_space)

    def _annotated(
        self, infos: list[dict[str, Any]], true: Any, reward: NDArray[np.float32], done: NDArray[np.bool_]
    ) -> list[dict[str, Any]]:
        """New infos: those of the environment may be shared between rows."""
        annotated = [
            {**info, "original_reward": value}
            for info, value in zip(infos, np.asarray(true, dtype=float).tolist(), strict=True)
        ]
        self._returns += reward
        for row in done.nonzero()[0].tolist():
            annotated[row]["learned_return"] = float(self._returns[row])
        self._returns[done] = 0
        return annotated


def _copied(observation: Any) -> Any:
    """A copy: environments may write over what they gave, while algorithms store it a step later."""
    if isinstance(observation, dict):
        return {key: _copied(value) for key, value in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_copied(value) for value in observation)
    return observation.clone() if isinstance(observation, Tensor) else np.array(observation)
