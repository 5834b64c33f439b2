"""Co-attention between what comes in a sequence and what has a position."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.film import joined
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, head_layers, masked_softmax
from agents.fusion.pooling import sides

_GLIMPSES = 4


class Hybrid(Fusion):
    """Parallel co-attention (Lu et al., 2016, arXiv 1606.00061) of sequences and positions.

    Words ``q`` (texts and sounds) and tokens ``v`` of all other entries attend to each other:

        C = tanh(q W v^T / sqrt(d))
        H_v = tanh(A v + mean_q C^T (B q)),  a_v = softmax(H_v w_v)
        H_q = tanh(B q + mean_v C (A v)),    a_q = softmax(H_q w_q)

    with four attentions each, and ``f = ReLU(LayerNorm(W [P v_a, R q_a, P v_a * R q_a]))`` of the attended
    ``v_a`` and ``q_a``. Means replace the sums of the paper, so that the number of tokens changes no scale,
    and the product is that of multimodal bilinear pooling (Kim et al., 2016, arXiv 1610.04325). Where one
    side has no entries, the other attends to itself by ``H = tanh(A v)``.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        in_order = [key for key, one in encoders.items() if one.timed and not _has_positions(one)]
        split = [side for side in sides(encoders, in_order) if side]
        self.embeds = nn.ModuleList(TokenEmbedding(side, width) for side in split)
        self.project = nn.ModuleList(nn.Linear(width, width) for _ in split)
        self.affinity = nn.Linear(width, width, bias=False) if len(split) == 2 else None
        self.attend = nn.ModuleList(nn.Linear(width, _GLIMPSES, bias=False) for _ in split)
        self.out = nn.ModuleList(nn.Linear(_GLIMPSES * width, width, bias=False) for _ in split)
        self.net = head_layers((3 if len(split) == 2 else 1) * width, features)

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        embedded = [embed(entries) for embed in self.embeds]
        hidden = [project(tokens) for project, (tokens, _) in zip(self.project, embedded, strict=True)]
        if self.affinity is not None:
            hidden = self._exchanged(hidden, embedded)
        found = []
        for attend, out, one, (tokens, mask) in zip(self.attend, self.out, hidden, embedded, strict=True):
            weights = masked_softmax(attend(one.tanh()), None if mask is None else mask[:, :, None], 1)
            found.append(out(torch.bmm(weights.transpose(1, 2), tokens).flatten(1)))
        if self.affinity is not None:
            found.append(found[0] * found[1])
        pooled = self.net(torch.cat(found, 1))
        return pooled, *(joined(embedded) if self.gives_tokens else (None, None))

    def _exchanged(self, hidden: list[Tensor], embedded: list[tuple[Tensor, Tensor | None]]) -> list[Tensor]:
        """Hidden states (n, s, width) of both sides, each with what the other sends."""
        assert self.affinity is not None
        (first, first_mask), (second, second_mask) = embedded
        affinity = torch.tanh(self.affinity(first) @ second.transpose(1, 2) * self.width**-0.5)
        to_first = hidden[0] + _received(affinity, hidden[1], second_mask)
        to_second = hidden[1] + _received(affinity.transpose(1, 2), hidden[0], first_mask)
        return [to_first, to_second]


def _received(affinity: Tensor, sent: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of what b senders (n, b, width) send, weighted by affinities (n, a, b): (n, a, width)."""
    if mask is None:
        return affinity @ sent / sent.shape[1]
    there = mask[:, :, None].to(sent.dtype)
    return affinity @ (sent * there) / there.sum(1, keepdim=True).clamp(min=1)


def _has_positions(encoder: Encoder) -> bool:
    """Whether an entry with time has positions, too, as a clip does."""
    return encoder.positions is not None and encoder.positions.shape[1] > 2
