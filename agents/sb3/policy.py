"""Policies of Stable-Baselines3 for observations that are tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
from torch import Tensor

from agents.acting import Policy, StepCounter
from agents.heads.head import draw
from mm_envs.random import fold, normal


class DevicePolicy(MultiInputActorCriticPolicy):
    """``MultiInputPolicy`` whose ``obs_to_tensor``, and so ``predict``, takes dicts of tensors as they are.

    The stock one makes NumPy arrays of them, which fails on an accelerator: it is what values the last
    observation of an episode that was cut off.
    """

    def obs_to_tensor(self, observation: Any) -> tuple[Any, bool]:
        """The observation as a batch of tensors on the device, and whether it was a batch already.

        Args:
            observation: One observation or a batch: a dict of tensors, or of NumPy arrays.
        """
        if not (
            isinstance(observation, Mapping) and all(isinstance(v, Tensor) for v in observation.values())
        ):
            return super().obs_to_tensor(observation)
        assert isinstance(self.observation_space, gym.spaces.Dict)
        key, space = next(iter(self.observation_space.items()))
        batched = observation[key].ndim > len(space.shape or ())
        tensors = {key: value.to(self.device) for key, value in observation.items()}
        return (tensors if batched else {key: value[None] for key, value in tensors.items()}), batched


def sb3_policy(model: BaseAlgorithm, deterministic: bool = True) -> Policy:
    """A model of Stable-Baselines3 as a policy, on its device.

    Args:
        model: A trained model, for instance ``trainer.model``.
        deterministic: Take the likeliest action (the default), or draw one by the hashes of the episodes.

    Raises:
        ValueError: Actions cannot be drawn, since the policy has no distribution over them.
    """
    policy, count = model.policy, StepCounter()
    if not deterministic and not isinstance(policy, ActorCriticPolicy):
        raise ValueError(f"{type(model).__name__} has no distribution over actions: use deterministic=True")

    def act(observation: Mapping[str, Tensor], hashes: Tensor) -> Tensor:
        policy.set_training_mode(False)
        tensors = {key: value.to(model.device) for key, value in observation.items()}
        with torch.no_grad():
            if deterministic:
                return _within(model.action_space, policy._predict(tensors, deterministic=True))
            _, step = count(hashes)
            distribution: Any = policy.get_distribution(tensors).distribution  # type: ignore[operator]
            each = fold(hashes, step).to(model.device)
            if hasattr(distribution, "logits"):
                return draw(distribution.logits, each, 1.0)
            entries = torch.arange(distribution.mean.shape[1], device=model.device)
            drawn = distribution.mean + distribution.stddev * normal(fold(each[:, None], entries))
            return _within(model.action_space, drawn)

    return act


def _within(space: gym.Space[Any], actions: Tensor) -> Tensor:
    """Actions within the bounds of their space; Stable-Baselines3 clips them in training, too."""
    if not isinstance(space, gym.spaces.Box):
        return actions
    low, high = (torch.as_tensor(np.array(bound), device=actions.device) for bound in (space.low, space.high))
    return actions.view(-1, *low.shape).clamp(low, high)
