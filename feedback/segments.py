"""Segments: stretches of transitions of any environment, scored step by step.

A preference between segments is a label on rows of a table of scores, as one between answers is: every loss
of ``feedback.losses`` takes ``segment_scores`` unchanged (Christiano et al., 2017, arXiv 1706.03741).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from feedback.preferences.batches import Answers
from feedback.reward_models.ensemble import Ensemble
from feedback.reward_models.model import RewardModel
from mm_envs.episodes import Segments
from mm_envs.names import at_least, whole


def collect_segments(
    envs: gym.vector.VectorEnv[Any, Any, Any],
    policy: Callable[[Mapping[str, Tensor]], Tensor],
    steps: int,
    seed: int | None = None,
    across: bool = False,
) -> Segments:
    """One segment of each row of an environment.

    Args:
        envs: A vector environment with a Dict of observations as tensors.
        policy: Observations to actions; called without gradients.
        steps: T, the largest number of transitions.
        seed: Seeds the environment.
        across: Whether a segment goes on with the next episode; otherwise it ends with the first.

    Example:
        >>> envs = gym.make_vec("MMCaption-v0", num_envs=3)
        >>> segments = collect_segments(envs, lambda seen: torch.ones(3, dtype=torch.int64), 4, seed=0)
        >>> segments.mask.tolist()[0], tuple(segments.observations["image"].shape)
        ([True, False, False, False], (3, 4, 3, 64, 64))
    """
    whole("steps", steps)
    at_least("steps", steps, 1, "a segment has at least one transition")
    observation, _ = envs.reset(seed=seed)
    running = torch.ones(envs.num_envs, dtype=torch.bool)
    seen, taken, masks, rewards = [], [], [], []
    with torch.no_grad():
        for _ in range(steps):
            actions = policy(observation)
            seen.append({key: torch.as_tensor(value).clone() for key, value in observation.items()})
            observation, reward, terminated, truncated, _ = envs.step(actions)
            taken.append(torch.as_tensor(actions))
            masks.append(running)
            rewards.append(torch.as_tensor(reward, dtype=torch.float32))
            ended = torch.as_tensor(terminated) | torch.as_tensor(truncated)
            running = running if across else running & ~ended.to(running.device)
    observations = {key: torch.stack([one[key] for one in seen], 1) for key in seen[0]}
    mask = torch.stack(masks, 1)
    return Segments(observations, torch.stack(taken, 1), mask, torch.stack(rewards, 1) * mask)


def transitions_of(segments: Segments) -> Answers:
    """The transitions that there are as answers: the observation is the context, the action the response."""
    observations, actions = segments.flat()
    rows = torch.arange(len(actions), device=actions.device)
    return Answers(observations, rows, actions)


def segment_scores(model: RewardModel | Ensemble, segments: Segments) -> Tensor:
    """The scores of segments, (n,): those of their transitions, summed.

    The model scores an action in an observation: ``ModelSpaces(observation spaces, action space)``.
    """
    scores: Tensor = model(transitions_of(segments))
    return segments.total(scores)
