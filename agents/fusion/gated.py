"""Gated multimodal units: every modality has a gate that all of them decide."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, head_layers
from agents.fusion.pooling import Modalities


class Gated(Fusion):
    """A gated multimodal unit (Arevalo et al., 2017, arXiv 1702.01992) over pooled entries ``p_e``.

    ``h_e = tanh(V_e p_e + b_e)``, ``z_e = sigmoid(sum_j (U_ej p_j + c_ej))``,
    ``f = ReLU(LayerNorm(W sum_e z_e * h_e))``. Both sums are over the entries that there are: a missing one
    has neither a term in the gates of the others nor one of its own.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.modalities = Modalities(encoders, width)
        self.hidden = nn.ModuleList(nn.Linear(width, features) for _ in encoders)
        self.gates = nn.ModuleList(nn.Linear(width, len(encoders) * features) for _ in encoders)
        self.net = head_layers(features, features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        pooled, there = self.modalities(entries)
        exist = there[:, :, None].to(pooled[0].dtype)
        hidden = torch.stack([layer(one) for layer, one in zip(self.hidden, pooled, strict=True)], 1)
        votes = torch.stack([layer(one) for layer, one in zip(self.gates, pooled, strict=True)], 1)
        gates = (votes * exist).sum(1).sigmoid().view(hidden.shape)
        fused = self.net((gates * hidden.tanh() * exist).sum(1))
        return fused, *((None, None) if self.embed is None else self.embed(entries))
