"""Late fusion: every modality decides by itself, and decisions are averaged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, head_layers, masked_mean
from agents.fusion.pooling import Modalities


class Late(Fusion):
    """``f = mean_e g_e(p_e)`` of pooled entries ``p_e`` that there are, ``g_e = ReLU(LayerNorm(V_e p_e))``.

    Decision-level fusion by the mean rule (Kittler et al., "On combining classifiers", PAMI 1998). With a
    linear head the logits are the means of logits that each depend on one modality, so that nothing is
    learned that holds for a combination alone, such as an exclusive or. Heads with a hidden layer or a
    recurrence see the mean of the features and may combine it further.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.modalities = Modalities(encoders, width)
        self.nets = nn.ModuleList(head_layers(width, features) for _ in encoders)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        pooled, there = self.modalities(entries)
        each = torch.stack([net(one) for net, one in zip(self.nets, pooled, strict=True)], 1)
        decided = masked_mean(each, there)
        return decided, *((None, None) if self.embed is None else self.embed(entries))
