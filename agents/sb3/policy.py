"""The actor-critic policy of Stable-Baselines3 for observations that are tensors already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from torch import Tensor


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
