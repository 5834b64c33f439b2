"""The encoders as a features extractor of Stable-Baselines3."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from agents.fusion import FUSIONS, FusedEncoder
from mm_envs.names import at_least, one_of


class FusedExtractor(BaseFeaturesExtractor):
    """A ``FusedEncoder`` as Stable-Baselines3 wants it.

    Args:
        observation_space: The flat Dict of one observation.
        features: Numbers per row.
        fusion: The name of a fusion, see ``agents.fusion``.
    """

    def __init__(
        self, observation_space: gym.spaces.Dict, features: int = 256, fusion: str = "concat"
    ) -> None:
        super().__init__(observation_space, features)
        self.encoder = FusedEncoder(observation_space, features, fusion)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Features (n, features) of a batch of observations."""
        features: Tensor = self.encoder(observations)
        return features


def policy_arguments(features: int = 256, fusion: str = "concat", hidden: int = 64) -> dict[str, Any]:
    """The ``policy_kwargs`` of ``MultiInputPolicy`` with our encoders.

    Pictures are left in 0 to 255, which is what our encoders expect, and actor and critic share one encoder,
    which is by far the greatest cost.

    Args:
        features: Numbers per row of the encoder.
        fusion: The name of a fusion.
        hidden: Width of the one hidden layer of actor and of critic; 0 for none.

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
    return {
        "features_extractor_class": FusedExtractor,
        "features_extractor_kwargs": {"features": features, "fusion": fusion},
        "normalize_images": False,
        "net_arch": [hidden] if hidden else [],
    }
