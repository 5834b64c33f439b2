"""The contexts of episodes, encoded once for all answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import gymnasium as gym
from torch import Tensor, nn

from agents.encoders import Encoder
from agents.encoders.choice import EncoderChoice
from agents.encoders.encoded import Entry
from agents.fusion import Fused, FusedEncoder
from mm_envs.batch import Batch


@dataclass(frozen=True)
class Context(Batch):
    """n encoded contexts.

    Attributes:
        pooled: The fused vectors, (n, F) float32.
        candidates: The vectors of the candidates, (n, count, F); None where answers refer to none.
        tokens: The fused tokens, (n, s, width), for decoders that attend to them; None where there are none.
        mask: Which tokens there are, (n, s) bool; None for all.
    """

    pooled: Tensor
    candidates: Tensor | None = None
    tokens: Tensor | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pooled)

    def repeat(self, count: int) -> Context:
        """Every context so many times in a row, (n * count, ...)."""
        return self if count == 1 else self._changed(lambda value: value.repeat_interleave(count, 0))

    def answers_each(self, answers: int) -> int:
        """How many of so many answers belong to each context: neighbouring rows.

        Raises:
            ValueError: The number of answers is no multiple of that of the contexts.
        """
        each, left = divmod(answers, max(len(self), 1))
        if left or not (each or not answers):
            raise ValueError(f"{answers} answers do not divide among {len(self)} contexts: give each as many")
        return max(each, 1)

    def detach(self) -> Context:
        """The same contexts without gradients."""
        return self._changed(lambda value: value.detach())

    def to_entries(self, prefix: str) -> dict[str, Tensor]:
        """The contexts as a dict of tensors, keys beginning with a prefix."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {prefix + name: value for name, value in given.items() if value is not None}

    @classmethod
    def of_entries(cls, entries: Mapping[str, Tensor], prefix: str) -> Context | None:
        """What ``to_entries`` made; None where there is no such entry."""
        found = {one.name: entries.get(prefix + one.name) for one in fields(cls)}
        return None if found["pooled"] is None else cls(**found)  # type: ignore[arg-type]


class ContextEncoder(nn.Module):
    """Encodes contexts.

    Args:
        spaces: The spaces of one context, by observation key.
        features: F, numbers of the fused vector, of each token and of each candidate.
        among: The key of the entry whose candidates are needed.
        fusion: The name of a fusion.
        tokens: Whether fused tokens are needed.
        choice: The encoders; None for the default of each entry.

    Example:
        >>> import torch
        >>> from mm_envs.spaces import Vector
        >>> encoder = ContextEncoder({"point": Vector(2)}, features=8)
        >>> encoded = encoder({"point": torch.zeros(3, 2)})
        >>> encoded.pooled.shape, encoded.candidates
        (torch.Size([3, 8]), None)
    """

    def __init__(
        self,
        spaces: Mapping[str, gym.Space[Any]],
        features: int,
        among: str | None = None,
        fusion: str = "concat",
        tokens: bool = False,
        choice: EncoderChoice | None = None,
    ) -> None:
        super().__init__()
        self.features, self.among = features, among
        keep = () if among is None else (among,)
        shown = gym.spaces.Dict(dict(spaces))
        self.fused = FusedEncoder(shown, features, fusion, keep=keep, tokens=tokens, choice=choice)
        self.project = None
        if among is not None:
            entry = self.fused.encoders[among]
            assert isinstance(entry, Encoder)
            self.project = nn.Linear(entry.width, features)

    def forward(self, contexts: Mapping[str, Entry]) -> Context:
        """The encoded contexts of n observations, entries (n, ...)."""
        return self._context(self.fused.fused(contexts))

    def _context(self, fused: Fused) -> Context:
        candidates = None
        if self.project is not None and self.among is not None:
            candidates = self.project(fused.entries[self.among].tokens)
        return Context(fused.pooled, candidates, fused.tokens, fused.mask)

    def with_word_loss(self, contexts: Mapping[str, Entry]) -> tuple[Context, Tensor | None]:
        """``forward``, and the word loss of each context, (n,); see ``Fusion.with_word_loss``."""
        fused, loss = self.fused.with_word_loss(contexts)
        return self._context(fused), loss
