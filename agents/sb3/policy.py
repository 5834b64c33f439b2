"""Policies of Stable-Baselines3 for observations that are tensors, with our encoders."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from agents.acting import Policy, StepCounter
from agents.encoders.choice import Chosen, EncoderChoice
from agents.fusion import FUSIONS, FusedEncoder
from agents.heads import PLAIN
from agents.heads.head import draw
from mm_envs.names import at_least, one_of
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
                return draw(distribution.logits, each, PLAIN)
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
        """Actions by the policy; without ``deterministic`` each is random with the exploration rate."""
        greedy, state = self.policy.predict(observation, state, episode_start, deterministic)
        if deterministic:
            return greedy, state
        space: Any = self.action_space
        shape = np.shape(greedy)
        anything = space.start + self.exploration.integers(space.n, size=shape)
        coin = self.exploration.random(shape) < self.exploration_rate
        return np.where(coin, anything, greedy), state


def _refuse_stacked(space: gym.spaces.Dict) -> None:
    """Refuses entries of ``VecFrameStack``: plain boxes, which no longer say what is a picture or a word."""
    for key, entry in space.items():
        if key.endswith(("_length", "_present")) and entry.shape != (1,):
            raise ValueError(
                f"entry {key!r} of shape {entry.shape} is stacked, and our encoders take single frames: "
                "leave VecFrameStack out (observations hold the whole answer so far) or policy_arguments()"
            )


class FusedExtractor(BaseFeaturesExtractor):
    """A ``FusedEncoder`` as Stable-Baselines3 wants it.

    Raises:
        ValueError: The entries are stacked by ``VecFrameStack``.
    """

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        features: int = 256,
        fusion: str = "concat",
        choice: EncoderChoice | None = None,
    ) -> None:
        super().__init__(observation_space, features)
        _refuse_stacked(observation_space)
        self.encoder = FusedEncoder(observation_space, features, fusion, choice=choice)
        self.chosen = choice is not None

    def apply(self, fn: Callable[[nn.Module], None]) -> FusedExtractor:
        """``nn.Module.apply``, which leaves encoders that were chosen as they are.

        Stable-Baselines3 initialises all layers of a policy anew through it: pretrained ones, too.
        """
        kept = copy.deepcopy(self.encoder.encoders.state_dict()) if self.chosen else None
        super().apply(fn)
        if kept is not None:
            self.encoder.encoders.load_state_dict(kept)
        return self

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Features (n, features) of a batch of observations."""
        features: Tensor = self.encoder(observations)
        return features


def policy_arguments(
    features: int = 256,
    fusion: str = "concat",
    hidden: int = 64,
    encoders: Mapping[str, Chosen] | None = None,
    trainable: str = "all",
) -> dict[str, Any]:
    """The ``policy_kwargs`` of ``MultiInputPolicy`` with our encoders.

    Pictures are left in 0 to 255, which is what our encoders expect, and actor and critic share one encoder,
    which is by far the greatest cost.

    Args:
        features: Numbers per row of the encoder.
        fusion: The name of a fusion.
        hidden: Width of the one hidden layer of actor and of critic; 0 for none.
        encoders: The encoder of each entry, see ``agents.encoders.choice.EncoderChoice``.
        trainable: What of the encoders is trained: "all", "none", "last:K" or "lora:R".

    Raises:
        ValueError: A width is too small, or the fusion is unknown.

    Example:
        >>> sorted(policy_arguments())[:2]
        ['features_extractor_class', 'features_extractor_kwargs']
    """
    at_least("features", features, 1)
    at_least("hidden", hidden, 0)
    if fusion not in FUSIONS:
        raise ValueError(one_of("fusion", fusion, FUSIONS))
    choice = EncoderChoice(encoders or {}, trainable)
    extractor: dict[str, Any] = {"features": features, "fusion": fusion}
    if choice.arguments():
        extractor["choice"] = choice
    return {
        "features_extractor_class": FusedExtractor,
        "features_extractor_kwargs": extractor,
        "normalize_images": False,
        "net_arch": [hidden] if hidden else [],
    }
