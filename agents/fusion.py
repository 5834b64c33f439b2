"""From a flat dict of observations to tokens of every entry, and one fused vector per row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.encoders import Encoded, Encoder, make_encoder
from agents.encoders.encoded import Flat
from mm_envs.batch import Batch
from mm_envs.names import at_least, check_one_of

_LENGTH, _PRESENT = "_length", "_present"
_QUERIES = 8


@dataclass(frozen=True)
class Fused(Batch):
    """Fused observations: one vector a row (n, features), and the tokens of some entries by key."""

    pooled: Tensor
    entries: Mapping[str, Encoded]


class Concatenation(nn.Module):
    """Pools every entry to ``width`` numbers, then a linear layer over all to ``features`` and layer norm."""

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int) -> None:
        super().__init__()
        self.pool = nn.ModuleDict({key: Flat(encoder, width) for key, encoder in encoders.items()})
        self.net = nn.Sequential(
            nn.Linear(len(encoders) * width, features), nn.LayerNorm(features), nn.ReLU()
        )

    def forward(self, entries: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        """One vector a row, (n, features); ``present`` is (n, 1) bool for keys that may be missing."""
        parts = []
        for key, pool in self.pool.items():
            part = pool(entries[key])
            parts.append(torch.where(present[key], part, torch.zeros_like(part)) if key in present else part)
        features: Tensor = self.net(torch.cat(parts, dim=1))
        return features


class Attention(nn.Module):
    """Learned queries attend to the tokens of all entries (Vaswani et al., 2017, arXiv 1706.03762).

    A token is a linear map of what the encoder gave and of its position, plus an embedding of the entry. Each
    query is one head; the products of queries and key weights are learned as one matrix, since queries do not
    depend on the observation. A linear layer mixes what the queries found.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int) -> None:
        super().__init__()
        self.project, self.positions = nn.ModuleDict(), nn.ModuleDict()
        for key, encoder in encoders.items():
            self.project[key] = nn.Linear(encoder.width, width)
            if encoder.positions is not None:
                # A hidden layer lets attention single out a position.
                self.positions[key] = nn.Sequential(
                    nn.Linear(encoder.positions.shape[1], width), nn.ReLU(), nn.Linear(width, width)
                )
        self.kinds = nn.Parameter(torch.randn(len(encoders), width) / width**0.5)
        self.queries = nn.Linear(width, _QUERIES, bias=False)
        self.net = nn.Sequential(nn.Linear(_QUERIES * width, features), nn.LayerNorm(features), nn.ReLU())

    def forward(self, entries: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        """One vector a row, (n, features); the arguments are those of ``Concatenation``."""
        embedded, masks = [], []
        for key, kind in zip(self.project, self.kinds, strict=True):
            entry = entries[key]
            position = self.positions[key](entry.positions) if key in self.positions else 0
            embedded.append(self.project[key](entry.tokens) + (position + kind))
            masks.append(_exists(entry, present.get(key)))
        tokens, there = torch.cat(embedded, 1), torch.cat(masks, 1)[:, :, None]
        scores = self.queries(tokens).masked_fill(~there, torch.finfo(tokens.dtype).min)
        # The product makes zeros of a row that has no token at all.
        weights = scores.softmax(1) * there
        features: Tensor = self.net(torch.bmm(weights.transpose(1, 2), tokens).flatten(1))
        return features


def _exists(entry: Encoded, present: Tensor | None) -> Tensor:
    """Which tokens of an entry there are, (n, s) bool."""
    there = torch.ones_like(entry.tokens[:, :, 0], dtype=torch.bool) if entry.mask is None else entry.mask
    return there if present is None else there & present


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
        >>> space = gym.spaces.Dict({"image": Image(36, 36), "point": Vector(2)})
        >>> encoder = FusedEncoder(space, features=16, keep=("image",))
        >>> observation = {"image": torch.zeros(4, 3, 36, 36), "point": torch.zeros(4, 2)}
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
        check_one_of("fusion", fusion, FUSIONS)
        width = features if width is None else width
        at_least("features", features, 1)
        at_least("width", width, 1)
        self.features, self.keep = features, tuple(keep)
        inputs = _inputs(observation_space)
        for key in self.keep:
            check_one_of("keep", key, inputs)
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
        kept = {key: entries[key] for key in self.keep}
        kept.update((key, kept[key].masked(present[key])) for key in kept.keys() & present.keys())
        return Fused(self.fuse(entries, present), kept)


def _inputs(space: gym.spaces.Dict) -> dict[str, gym.Space[Any]]:
    """The entries that are encoded: all but those that only say something about another one."""
    about_another = {key + ending for key in space for ending in (_LENGTH, _PRESENT)}
    return {key: part for key, part in space.items() if key not in about_another}
