"""A sum of pooled entries with one learned weight for each."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, head_layers, masked_softmax
from agents.fusion.pooling import Modalities


class WeightedSum(Fusion):
    """``f = ReLU(LayerNorm(W sum_e a_e p_e))`` of pooled entries ``p_e``, ``a = softmax(w)``.

    ``w`` are learned numbers, one an entry, and the softmax is over the entries that there are: the weights
    of a row sum to 1. They begin equal. The scalar mix of ELMo (Peters et al., 2018, arXiv 1802.05365), over
    modalities instead of layers.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.modalities = Modalities(encoders, width)
        self.weights = nn.Parameter(torch.zeros(len(encoders)))
        self.net = head_layers(width, features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        pooled, there = self.modalities(entries)
        weights = masked_softmax(self.weights.expand(there.shape), there, 1)
        summed = (torch.stack(pooled, 1) * weights[:, :, None]).sum(1)
        return self.net(summed), *((None, None) if self.embed is None else self.embed(entries))
