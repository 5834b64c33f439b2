"""The mean over modalities of projected entries."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding
from agents.fusion.pooling import ProjectedMean


class Mean(Fusion):
    """``f = ReLU(LayerNorm(mean_e (V_e p_e + b_e)))`` over the pooled entries ``p_e`` that there are.

    A missing entry does not count: the mean is over the others, so that vectors have the same scale whatever
    is missing. It is 0 where everything is. HeMIS (Havaei et al., 2016, arXiv 1607.05194) averages modalities
    for this reason.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.mean = ProjectedMean(encoders, width, features)
        self.norm = nn.LayerNorm(features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        pooled = torch.relu(self.norm(self.mean(entries)[0]))
        return pooled, *((None, None) if self.embed is None else self.embed(entries))
