"""Feature-wise linear modulation: words scale and shift the features of pictures and sounds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, head_layers, masked_mean
from agents.fusion.pooling import ProjectedMean, condition_keys, mean_and_max, sides

_BLOCKS = 2


class FiLM(Fusion):
    """Residual blocks over tokens, modulated by the other entries (Perez et al., 2017, arXiv 1709.07871).

    The condition ``c`` is a ``ProjectedMean`` of texts and of entries of one token, such as vectors and
    choices. Tokens ``t`` of all other entries (pictures, sounds, clips, candidates) go through two blocks
    ``u = ReLU(A t)``, ``t' = u + ReLU((1 + g(c)) * LayerNorm(B u) + b(c))`` with linear ``g`` and ``b``;
    ``f = ReLU(LayerNorm(W [r, c]))`` where ``r`` is the mean over entries of ``R_e [mean t, max t]``.
    Convolutions are token-wise here, since tokens know their positions; layer norm replaces batch norm, so
    that a row depends on itself alone.

    Rows without a condition have plain residual blocks (``g = b = 0``). Observations of conditions alone are
    fused by their mean.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        given, seen = sides(encoders, condition_keys(encoders))
        self.condition = ProjectedMean(given, width, width) if given else None
        self.embed = TokenEmbedding(seen, width) if seen else None
        condition = width if given else 0
        self.blocks = nn.ModuleList(Block(width, condition) for _ in range(_BLOCKS if seen else 0))
        self.counts = [one.count for one in seen.values()]
        self.readout = nn.ModuleList(nn.Linear(2 * width, width) for _ in seen)
        self.net = head_layers(condition + (width if seen else 0), features)
        self.others = TokenEmbedding(given, width) if given and tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features); the modulated tokens, and embedded ones of the conditions."""
        condition = None if self.condition is None else self.condition(entries)
        parts = [] if condition is None else [torch.relu(condition[0])]
        found: list[tuple[Tensor, Tensor | None]] = []
        if self.embed is not None:
            tokens, mask = self.embed(entries)
            for block in self.blocks:
                tokens = block(tokens, condition)
            parts.append(self._read(tokens, mask))
            found.append((tokens, mask))
        pooled = self.net(torch.cat(parts, 1))
        if not self.gives_tokens:
            return pooled, None, None
        if self.others is not None:
            found.append(self.others(entries))
        return pooled, *joined(found)

    def _read(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The mean over entries of their projected means and maxima, (n, width)."""
        several = tokens.split_with_sizes(self.counts, 1)
        masks = [None] * len(several) if mask is None else mask.split_with_sizes(self.counts, 1)
        pooled = [mean_and_max(one, seen) for one, seen in zip(several, masks, strict=True)]
        read = [layer(one) for layer, one in zip(self.readout, pooled, strict=True)]
        there = [one.any(1) for one in masks if one is not None]
        return masked_mean(torch.stack(read, 1), torch.stack(there, 1) if there else None)


class Block(nn.Module):
    """A residual block over tokens whose features are scaled and shifted by a condition."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=not condition)
        self.film = nn.Linear(condition, 2 * width) if condition else None

    def forward(self, tokens: Tensor, condition: tuple[Tensor, Tensor] | None) -> Tensor:
        """Tokens (n, s, width); a condition is vectors (n, c) and which rows have one, (n,) bool."""
        hidden = torch.relu(self.first(tokens))
        normed: Tensor = self.norm(self.second(hidden))
        if self.film is not None and condition is not None:
            changes = self.film(torch.relu(condition[0])).masked_fill(~condition[1][:, None], 0.0)
            scale, shift = changes[:, None].chunk(2, 2)
            normed = normed * (1 + scale) + shift
        return hidden + torch.relu(normed)


def joined(several: list[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """Tokens (n, s, width) with their masks as one; the mask is None where all are."""
    tokens = torch.cat([one for one, _ in several], 1)
    if all(mask is None for _, mask in several):
        return tokens, None
    masks = [tokens.new_ones(one.shape[:2], dtype=torch.bool) if m is None else m for one, m in several]
    return tokens, torch.cat(masks, 1)
