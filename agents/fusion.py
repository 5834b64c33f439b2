"""From a flat dict of observations to one vector of features per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.encoders import make_encoder
from mm_envs.names import at_least, one_of

_LENGTH, _PRESENT = "_length", "_present"


class Concatenation(nn.Module):
    """Fuses by one linear layer over all features side by side, then layer normalisation.

    Args:
        inputs: How many entries are fused.
        width: Features per entry.
        features: Features of the whole.
    """

    def __init__(self, inputs: int, width: int, features: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs * width, features), nn.LayerNorm(features), nn.ReLU())

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Features (n, features) from one (n, width) tensor per entry."""
        features: Tensor = self.net(torch.cat(parts, dim=1))
        return features


FUSIONS: dict[str, type[nn.Module]] = {"concat": Concatenation}


class FusedEncoder(nn.Module):
    """Encodes every entry of an observation and fuses what comes out.

    An entry ``<key>_length`` or ``<key>_present`` beside an entry ``<key>`` says something about that entry
    and is not encoded by itself: what lies beyond the length is ignored, an absent input contributes zeros.
    A row of the result depends on the same row of the observation alone.

    Args:
        observation_space: The flat Dict of one observation.
        features: Numbers per row of the result, and of every encoder unless ``width`` is given.
        fusion: The name of a fusion: "concat".
        width: Numbers per row of every encoder.

    Raises:
        ValueError: The fusion is unknown, a width is below 1, or an entry has no encoder.

    Example:
        >>> from mm_envs.spaces import Image, Vector
        >>> space = gym.spaces.Dict({"image": Image(36, 36), "place": Vector(2)})
        >>> encoder = FusedEncoder(space, features=16)
        >>> encoder({"image": torch.zeros(4, 3, 36, 36), "place": torch.zeros(4, 2)}).shape
        torch.Size([4, 16])
    """

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        features: int = 256,
        fusion: str = "concat",
        width: int | None = None,
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(one_of("fusion", fusion, FUSIONS))
        width = features if width is None else width
        at_least("features", features, 1)
        at_least("width", width, 1)
        self.features = features
        inputs = _inputs(observation_space)
        self.encoders = nn.ModuleDict({key: make_encoder(space, width) for key, space in inputs.items()})
        self.fuse = FUSIONS[fusion](len(inputs), width, features)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Features (n, features) of an observation whose entries have leading dimension n."""
        parts = []
        for key, encoder in self.encoders.items():
            part = encoder(observation[key], observation.get(key + _LENGTH))
            if key + _PRESENT in observation:
                there = observation[key + _PRESENT].reshape(-1, 1) > 0
                part = torch.where(there, part, torch.zeros_like(part))
            parts.append(part)
        features: Tensor = self.fuse(parts)
        return features


def _inputs(space: gym.spaces.Dict) -> dict[str, gym.Space[Any]]:
    """The entries that are encoded: all but those that only say something about another one."""
    about_another = {key + ending for key in space for ending in (_LENGTH, _PRESENT)}
    return {key: part for key, part in space.items() if key not in about_another}
