"""Early fusion: the concatenated vectors of all entries."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder, Flat
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, head_layers


class Pools(nn.Module):
    """Pools every entry to ``width`` numbers by a linear layer over its tokens; 0 for a missing entry."""

    def __init__(self, encoders: Mapping[str, Encoder], width: int) -> None:
        super().__init__()
        self.pool = nn.ModuleDict({key: Flat(encoder, width) for key, encoder in encoders.items()})

    def forward(self, entries: Entries) -> dict[str, Tensor]:
        """One vector (n, width) of each entry."""
        pooled = {}
        for key, pool in self.pool.items():
            part, present = pool(entries[key]), entries[key].present
            pooled[key] = part if present is None else torch.where(present[:, None], part, 0.0)
        return pooled


class Concatenation(Fusion):
    """``f = ReLU(LayerNorm(W [p_1, ..., p_E]))`` of the pooled entries ``p_e``.

    Early fusion, as in Ngiam et al., "Multimodal deep learning" (ICML 2011).
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.pools = Pools(encoders, width)
        self.net = head_layers(len(encoders) * width, features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        pooled = self.net(torch.cat(list(self.pools(entries).values()), 1))
        return pooled, *((None, None) if self.embed is None else self.embed(entries))
