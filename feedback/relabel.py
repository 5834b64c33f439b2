"""New rewards in a replay buffer after a reward model has learned."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.her import HerReplayBuffer

from feedback.transitions import (
    Adapter,
    Entries,
    Transitions,
    actions_of,
    channels_first,
    entries,
    observation_and_action,
)
from mm_envs.episodes import Feedback
from mm_envs.feedback_sources import judgement
from mm_envs.names import at_least


def check_feedback(feedback: Feedback) -> None:
    """Refuses feedback that cannot score a foreign environment."""
    if not hasattr(feedback, "sees_reference"):
        raise ValueError(
            f"{type(feedback).__name__} is no feedback source: give one, for instance "
            "LearnedReward(spaces, model=model)"
        )
    if feedback.sees_reference:
        raise ValueError(
            f"{type(feedback).__name__} scores by the reference, which this environment does not have: use a "
            "source with sees_reference = False, for instance a learned reward"
        )


def rewards_of(steps: Transitions, feedback: Feedback, adapter: Adapter) -> NDArray[np.float32]:
    """The rewards of n steps, (n,) float32, in one call; a ValueError if one is not finite."""
    with torch.no_grad():
        episodes = adapter(steps)
        if len(episodes) != len(steps):
            raise ValueError(
                f"the adapter made {len(episodes)} episodes of {len(steps)} steps: make one of each"
            )
        reward: NDArray[np.float32] = judgement(feedback, episodes).reward.cpu().numpy().copy()
    wrong = int((~np.isfinite(reward)).sum())
    if wrong:
        raise ValueError(
            f"{type(feedback).__name__} gave {wrong} of {len(reward)} rewards that are not finite: an agent "
            "that learns from them is lost"
        )
    return reward


def relabel(
    buffer: ReplayBuffer,
    feedback: Feedback,
    adapter: Adapter = observation_and_action,
    batch: int = 1024,
    device: torch.device | str = "cpu",
) -> int:
    """Replaces all rewards in a buffer by those of a feedback source now; returns how many steps there are.

    Off-policy agents otherwise go on to learn from rewards of earlier versions of the model; PEBBLE (Lee et
    al., 2021, arXiv 2106.05091) relabels after every update. The adapter gets what ``RewardVecEnv`` gives it:
    pictures channels first, last observations of episodes, and actions as the environment got them.

    Args:
        buffer: A ``ReplayBuffer`` or ``DictReplayBuffer``.
        feedback: A source that does not see the reference.
        adapter: Makes an episode of each step.
        batch: Steps scored at a time.
        device: The device of its tensors.

    Raises:
        ValueError: It is no replay buffer, the feedback needs the reference, or the adapter asks for next
            observations that the buffer does not keep.
    """
    check_feedback(feedback)
    at_least("batch", batch, 1)
    if not isinstance(buffer, ReplayBuffer) or isinstance(buffer, HerReplayBuffer):
        raise ValueError(
            f"a {type(buffer).__name__} cannot be relabelled, since more than the rewards that it keeps is "
            "learned from: use a ReplayBuffer or DictReplayBuffer"
        )
    steps = buffer.size()
    rows = steps * buffer.n_envs
    rewards = np.empty(rows, dtype=np.float32)
    for first in range(0, rows, batch):
        part = slice(first, min(first + batch, rows))
        rewards[part] = rewards_of(_transitions(buffer, part, device), feedback, adapter)
    buffer.rewards[:steps] = rewards.reshape(steps, buffer.n_envs)
    return rows


def _transitions(buffer: ReplayBuffer, part: slice, device: torch.device | str) -> Transitions:
    """Steps of the buffer, of all rows one after the other."""

    def following() -> Entries:
        if buffer.optimize_memory_usage:
            raise ValueError(
                "a buffer with optimize_memory_usage=True does not keep last observations of episodes: use "
                "an adapter that does without next observations, or another buffer"
            )
        return _entries(buffer.next_observations, buffer, part, device)

    action = actions_of(_flat(buffer.actions)[part], buffer.action_space, device)
    return Transitions(
        _entries(buffer.observations, buffer, part, device), _unscaled(action, buffer.action_space), following
    )


def _entries(stored: Any, buffer: ReplayBuffer, part: slice, device: torch.device | str) -> Entries:
    if isinstance(stored, dict):
        cut: Any = {key: _flat(value)[part] for key, value in stored.items()}
    else:
        cut = _flat(stored)[part]
    space = buffer.observation_space
    return channels_first(entries(cut, space, device), space)


def _flat(stored: NDArray[Any]) -> NDArray[Any]:
    """(steps, rows, ...) as a view of (steps * rows, ...)."""
    return stored.reshape(-1, *stored.shape[2:])


def _unscaled(action: torch.Tensor, space: gym.Space[Any]) -> torch.Tensor:
    if not isinstance(space, gym.spaces.Box):
        return action
    low, high = (torch.as_tensor(bound, device=action.device) for bound in (space.low, space.high))
    return (low + 0.5 * (action + 1.0) * (high - low)).to(action.dtype)
