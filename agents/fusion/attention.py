"""Attention pooling: learned queries attend to the tokens of all entries."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Attended, Entries, Fusion, TokenEmbedding, head_layers, masked_softmax

_QUERIES = 8


class Attention(Fusion):
    """Learned queries attend to the tokens of all entries (Vaswani et al., 2017, arXiv 1706.03762).

    ``f = ReLU(LayerNorm(W [a_1, ..., a_8]))`` with ``a_q = sum_s softmax_s(q . t_s) t_s`` over embedded
    tokens ``t_s``. The products of queries and key weights are learned as one matrix, since queries do not
    depend on the observation.
    """

    embed: TokenEmbedding

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.embed = TokenEmbedding(encoders, width)
        self.queries = nn.Linear(width, _QUERIES, bias=False)
        self.net = head_layers(_QUERIES * width, features)

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and the embedded tokens."""
        tokens, mask = self.embed(entries)
        weights = self._weights(tokens, mask)
        pooled = self.net(torch.bmm(weights.transpose(1, 2), tokens).flatten(1))
        return pooled, *((tokens, mask) if self.gives_tokens else (None, None))

    def attention_layers(self, entries: Entries) -> list[Attended]:
        """The weights of the learned queries over the tokens of all entries."""
        weights = self._weights(*self.embed(entries)).transpose(1, 2)
        return [Attended("queries", None, self.keys, weights)]

    def _weights(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(n, s, queries)."""
        return masked_softmax(self.queries(tokens), None if mask is None else mask[:, :, None], 1)
