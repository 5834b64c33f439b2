"""From a flat dict of observations to tokens of every entry, and one fused vector per row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
from torch import Tensor, nn

from agents.encoders import Encoded
from agents.encoders.choice import EncoderChoice
from agents.encoders.encoded import Entry
from agents.fusion.fusion import Fused
from agents.fusion.table import FUSIONS
from mm_envs.names import at_least, check_one_of

_LENGTH, _PRESENT = "_length", "_present"


class FusedEncoder(nn.Module):
    """Encodes every entry of an observation as tokens and fuses them.

    An entry ``<key>_length`` or ``<key>_present`` next to an entry ``<key>`` describes that entry and is not
    encoded by itself: what lies beyond the length is ignored, an absent input is masked. A row of the result
    depends on the same row of the observation alone.

    Args:
        observation_space: The flat Dict of one observation.
        features: Numbers per row of the result, and of every entry unless ``width`` is given.
        fusion: The name of a fusion of ``FUSIONS``.
        width: Numbers per entry or token within the fusion.
        keep: The keys of the entries whose tokens ``fused`` gives as well.
        tokens: Whether ``fused`` gives fused tokens.
        choice: The encoders; None for the default of each entry.

    Raises:
        ValueError: The fusion is unknown, a width is below 1, an entry has no encoder, or there is no entry
            of a key to keep.

    Example:
        >>> import torch
        >>> from mm_envs.spaces import Image, Vector
        >>> space = gym.spaces.Dict({"image": Image(36, 36), "point": Vector(2)})
        >>> encoder = FusedEncoder(space, features=16, tokens=True)
        >>> observation = {"image": torch.zeros(4, 3, 36, 36), "point": torch.zeros(4, 2)}
        >>> encoder(observation).shape, encoder.fused(observation).tokens.shape[::2]
        (torch.Size([4, 16]), torch.Size([4, 16]))
    """

    def __init__(
        self,
        observation_space: gym.spaces.Dict,
        features: int = 256,
        fusion: str = "concat",
        width: int | None = None,
        keep: Collection[str] = (),
        tokens: bool = False,
        choice: EncoderChoice | None = None,
    ) -> None:
        super().__init__()
        check_one_of("fusion", fusion, FUSIONS)
        width = features if width is None else width
        at_least("features", features, 1)
        at_least("width", width, 1)
        self.features, self.width, self.keep = features, width, tuple(keep)
        inputs = _inputs(observation_space)
        for key in self.keep:
            check_one_of("keep", key, inputs)
        encoders = (choice or EncoderChoice()).make(inputs)
        self.encoders = nn.ModuleDict(encoders)
        self.fuse = FUSIONS[fusion](encoders, width, features, tokens)

    def forward(self, observation: Mapping[str, Entry]) -> Tensor:
        """One vector (n, features) a row of an observation whose entries have leading dimension n."""
        pooled: Tensor = self.fuse(self.encoded(observation))[0]
        return pooled

    def fused(self, observation: Mapping[str, Entry]) -> Fused:
        """The vectors, the fused tokens if they were asked for, and the tokens of the entries to keep."""
        return self.fuse_entries(self.encoded(observation))

    def with_word_loss(self, observation: Mapping[str, Entry]) -> tuple[Fused, Tensor | None]:
        """``fused``, and the auxiliary loss of each row, (n,); see ``Fusion.with_word_loss``."""
        entries = self.encoded(observation)
        pooled, tokens, mask, loss = self.fuse.with_word_loss(entries)
        return Fused(pooled, tokens, mask, self._kept(entries)), loss

    def fuse_entries(self, entries: Mapping[str, Encoded]) -> Fused:
        """``fused`` of entries that are encoded already."""
        pooled, tokens, mask = self.fuse(entries)
        return Fused(pooled, tokens, mask, self._kept(entries))

    def _kept(self, entries: Mapping[str, Encoded]) -> dict[str, Encoded]:
        kept = {key: entries[key] for key in self.keep}
        absent = {key: one.present for key, one in kept.items() if one.present is not None}
        kept.update((key, kept[key].masked(present[:, None])) for key, present in absent.items())
        return kept

    def encoded(self, observation: Mapping[str, Entry]) -> dict[str, Encoded]:
        """The encoded entries, by key; those that are encoded already are taken as they are."""
        entries = {}
        for key, encoder in self.encoders.items():
            entry, present = observation[key], observation.get(key + _PRESENT)
            if not isinstance(entry, Encoded):
                entry = encoder(entry, observation.get(key + _LENGTH))
            if isinstance(present, Tensor):
                entry = replace(entry, present=present.flatten() > 0)
            entries[key] = entry
        return entries


def _inputs(space: gym.spaces.Dict) -> dict[str, gym.Space[Any]]:
    """The entries that are encoded: all but those that only describe another one."""
    about_another = {key + ending for key in space for ending in (_LENGTH, _PRESENT)}
    return {key: part for key, part in space.items() if key not in about_another}
