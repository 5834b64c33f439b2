"""From a flat dict of observations to tokens of every entry, and one fused vector per row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.encoders import Encoded, Encoder, make_encoder
from agents.encoders.pooling import Flat
from mm_envs.batch import Batch
from mm_envs.names import at_least, one_of

_LENGTH, _PRESENT = "_length", "_present"


@dataclass(frozen=True)
class Fused(Batch):
    """Fused observations.

    Attributes:
        pooled: One vector a row, (n, features).
        entries: The tokens of the entries that were asked for, by observation key.
    """

    pooled: Tensor
    entries: Mapping[str, Encoded]


class Concatenation(nn.Module):
    """Pools every entry by itself, and fuses by one linear layer over all vectors, then layer normalisation.

    Args:
        encoders: The encoder of each entry, by key.
        width: Numbers per entry.
        features: Numbers of the whole.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int) -> None:
        super().__init__()
        self.pool = nn.ModuleDict({key: Flat(encoder, width) for key, encoder in encoders.items()})
        self.net = nn.Sequential(
            nn.Linear(len(encoders) * width, features), nn.LayerNorm(features), nn.ReLU()
        )

    def forward(self, entries: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        """One vector a row, (n, features).

        Args:
            entries: The tokens of each entry.
            present: Whether there is an entry, (n, 1) bool, for keys where one may be missing.
        """
        parts = []
        for key, pool in self.pool.items():
            part = pool(entries[key])
            parts.append(torch.where(present[key], part, torch.zeros_like(part)) if key in present else part)
        features: Tensor = self.net(torch.cat(parts, dim=1))
        return features


class Attention(nn.Module):
    """Learned queries attend to the tokens of all entries (Vaswani et al., 2017, arXiv 1706.03762).

    A token is a linear map of what the encoder gave and of its position, plus an embedding of the entry; four
    queries attend with four heads each, and a linear layer mixes what they found.

    Args:
        encoders: The encoder of each entry, by key.
        width: Numbers per token, a multiple of 4.
        features: Numbers of the whole.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int) -> None:
        super().__init__()
        width = -(-width // 4) * 4
        self.project, self.places = nn.ModuleDict(), nn.ModuleDict()
        for key, encoder in encoders.items():
            self.project[key] = nn.Linear(encoder.width, width)
            positions = getattr(encoder, "positions", None)
            if positions is not None:
                # Products of coordinates let attention single out a place.
                self.places[key] = nn.Sequential(
                    nn.Linear(positions.shape[1], width), nn.ReLU(), nn.Linear(width, width)
                )
        self.kinds = nn.Parameter(torch.randn(len(encoders), width) / width**0.5)
        self.queries = nn.Parameter(torch.randn(4, width) / width**0.5)
        self.attend = nn.MultiheadAttention(width, 4, batch_first=True)
        self.net = nn.Sequential(nn.Linear(4 * width, features), nn.LayerNorm(features), nn.ReLU())

    def forward(self, entries: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        """One vector a row, (n, features); the arguments are those of ``Concatenation``."""
        tokens, missing = [], []
        for number, key in enumerate(self.project):
            entry = entries[key]
            if key in present:
                entry = entry.masked(present[key])
            made = self.project[key](entry.tokens) + self.kinds[number]
            if key in self.places:
                made = made + self.places[key](entry.positions)
            tokens.append(made)
            there = entry.mask
            missing.append(torch.zeros_like(made[:, :, 0], dtype=torch.bool) if there is None else ~there)
        everything, mask = torch.cat(tokens, 1), torch.cat(missing, 1)
        # A row without any token would attend to nothing, which is no number: it attends to zeros.
        mask = mask & ~mask.all(1, keepdim=True)
        queries = self.queries.expand(len(everything), -1, -1)
        found, _ = self.attend(queries, everything, everything, key_padding_mask=mask, need_weights=False)
        features: Tensor = self.net(found.flatten(1))
        return features


FUSIONS: dict[str, type[nn.Module]] = {"concat": Concatenation, "attention": Attention}


class FusedEncoder(nn.Module):
    """Encodes every entry of an observation as tokens and fuses them.

    An entry ``<key>_length`` or ``<key>_present`` next to an entry ``<key>`` describes that entry and is not
    encoded by itself: what lies beyond the length is ignored, an absent input contributes nothing. A row of
    the result depends on the same row of the observation alone.

    Args:
        observation_space: The flat Dict of one observation.
        features: Numbers per row of the result, and of every entry unless ``width`` is given.
        fusion: The name of a fusion: "concat" or "attention".
        width: Numbers per entry or token within the fusion.
        keep: The keys of the entries whose tokens ``fused`` gives as well.

    Raises:
        ValueError: The fusion is unknown, a width is below 1, an entry has no encoder, or there is no entry
            of a key to keep.

    Example:
        >>> from mm_envs.spaces import Image, Vector
        >>> space = gym.spaces.Dict({"image": Image(36, 36), "place": Vector(2)})
        >>> encoder = FusedEncoder(space, features=16, keep=("image",))
        >>> observation = {"image": torch.zeros(4, 3, 36, 36), "place": torch.zeros(4, 2)}
        >>> encoder(observation).shape, encoder.fused(observation).entries["image"].tokens.shape
        (torch.Size([4, 16]), torch.Size([4, 9, 64]))
    """

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        features: int = 256,
        fusion: str = "concat",
        width: int | None = None,
        keep: Collection[str] = (),
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(one_of("fusion", fusion, FUSIONS))
        width = features if width is None else width
        at_least("features", features, 1)
        at_least("width", width, 1)
        self.features, self.keep = features, tuple(keep)
        inputs = _inputs(observation_space)
        for key in self.keep:
            if key not in inputs:
                raise ValueError(one_of("keep", key, inputs))
        encoders = {key: make_encoder(space) for key, space in inputs.items()}
        self.encoders, self.fuse = nn.ModuleDict(encoders), FUSIONS[fusion](encoders, width, features)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """One vector (n, features) a row of an observation whose entries have leading dimension n."""
        return self.fused(observation).pooled

    def fused(self, observation: Mapping[str, Tensor]) -> Fused:
        """The vectors, and the tokens of the entries to keep."""
        entries, present = {}, {}
        for key, encoder in self.encoders.items():
            entries[key] = encoder(observation[key], observation.get(key + _LENGTH))
            if key + _PRESENT in observation:
                present[key] = observation[key + _PRESENT].reshape(-1, 1) > 0
        return Fused(self.fuse(entries, present), {key: entries[key] for key in self.keep})


def _inputs(space: gym.spaces.Dict) -> dict[str, gym.Space[Any]]:
    """The entries that are encoded: all but those that only say something about another one."""
    about_another = {key + ending for key in space for ending in (_LENGTH, _PRESENT)}
    return {key: part for key, part in space.items() if key not in about_another}
