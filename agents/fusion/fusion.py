"""What a fusion is: tokens of all entries of an observation to one vector, and to tokens to attend to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder
from mm_envs.batch import Batch

Entries = Mapping[str, Encoded]


@dataclass(frozen=True)
class Fused(Batch):
    """Fused observations of n rows.

    Attributes:
        pooled: One vector a row, (n, features) float32.
        tokens: Tokens of all entries, (n, s, width) float32; None where they were not asked for.
        mask: Which tokens there are, (n, s) bool; None for all.
        entries: The encoded entries that were kept, by key.
    """

    pooled: Tensor
    tokens: Tensor | None
    mask: Tensor | None
    entries: Entries

    def __len__(self) -> int:
        return len(self.pooled)


class Attended(NamedTuple):
    """Attention weights of one layer of a fusion.

    Attributes:
        name: The layer.
        queries: The entry whose tokens attend; None for learned queries.
        keys: The entries whose tokens are attended to, in the order of the tokens.
        weights: (n, queries, tokens), each row of sum 1 where there is a token.
    """

    name: str
    queries: str | None
    keys: tuple[str, ...]
    weights: Tensor


class Fusion(nn.Module):
    """Fuses the tokens of all entries to one vector a row, and to tokens of one width.

    A missing entry has no tokens: fusions mask it. A row of the result depends on the same row alone.

    Args:
        encoders: The encoder of each entry, by key: their widths, counts and positions decide the layers.
        width: Numbers per token and entry within the fusion.
        features: Numbers per vector.
        tokens: Whether tokens are asked for, for a decoder that attends to them.
    """

    embed: TokenEmbedding | None

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__()
        self.keys, self.width, self.features, self.gives_tokens = tuple(encoders), width, features, tokens

    @abstractmethod
    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features); tokens (n, s, width) and their mask (n, s) bool, or None.

        ``entries`` are the encoded entries by key.
        """

    def with_word_loss(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """``forward``, and an auxiliary loss of each row, (n,), that needs no label; None without one."""
        return *self(entries), None

    def attention_layers(self, entries: Entries) -> list[Attended]:
        """The attention weights of the layers that have some, to be looked at; none by default."""
        return []


class TokenEmbedding(nn.Module):
    """The tokens of all entries at one width.

    A token is a linear map of what the encoder gave, plus a function of its position, plus an embedding of
    the entry that it belongs to.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int) -> None:
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

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None]:
        """Tokens (n, s, width), and which there are, (n, s) bool, or None for all."""
        embedded = [self.one(key, entries[key]) for key in self.project]
        if all(entries[key].there is None for key in self.project):
            return torch.cat(embedded, 1), None
        return torch.cat(embedded, 1), torch.cat([exists(entries[key]) for key in self.project], 1)

    def one(self, key: str, entry: Encoded) -> Tensor:
        """The tokens of one entry, (n, s, width)."""
        position = self.positions[key](entry.positions) if key in self.positions else 0
        kind = self.kinds[list(self.project).index(key)]
        embedded: Tensor = self.project[key](entry.tokens) + (position + kind)
        return embedded


def exists(entry: Encoded) -> Tensor:
    """Which tokens of an entry there are, (n, s) bool."""
    if entry.there is None:
        return torch.ones_like(entry.tokens[:, :, 0], dtype=torch.bool)
    return entry.there


def masked_mean(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """The mean over the tokens (n, s, d) that there are, (n, d); 0 where there is none."""
    if mask is None:
        return tokens.mean(1)
    there = mask[:, :, None].to(tokens.dtype)
    return (tokens * there).sum(1) / there.sum(1).clamp(min=1)


def masked_softmax(scores: Tensor, mask: Tensor | None, dim: int) -> Tensor:
    """The softmax of scores over what there is; 0 everywhere in rows where there is nothing.

    ``mask`` is bool and broadcasts to the scores.
    """
    if mask is None:
        return scores.softmax(dim)
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim) * mask


def head_layers(inputs: int, features: int) -> nn.Sequential:
    """A linear layer to ``features``, layer norm and ReLU."""
    return nn.Sequential(nn.Linear(inputs, features), nn.LayerNorm(features), nn.ReLU())
