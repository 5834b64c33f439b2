"""A graph network: words and the tokens of pictures and sounds exchange messages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, head_layers
from agents.fusion.pooling import condition_keys, mean_and_max, sides

_STEPS = 2

State = tuple[Tensor, Tensor]
"""Nodes (n, s, width), and which there are, (n, s) bool."""


class Graph(Fusion):
    """Message passing between words and grids, as in Battaglia et al. (2018, arXiv 1806.01261).

    Nodes are tokens on two sides: texts and entries of one token; and all other entries. Edges join every
    node with every node of the other side, and neighbours in position within an entry. In each of two steps

        e_ij = ReLU(A a_i + B b_j)                          edges between the sides
        a_i' = a_i + ReLU(U [LayerNorm(a_i), mean_j e_ij, max_j e_ij, mean of neighbours of i])

    and the same for ``b_j``; ``f = ReLU(LayerNorm(W [mean a, max a, mean b, max b]))``. Nodes that do not
    exist send no message. Where one side has no entries, neighbours alone exchange messages.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        split = [side for side in sides(encoders, condition_keys(encoders)) if side]
        self.nodes = nn.ModuleList(Nodes(side, width) for side in split)
        self.steps = nn.ModuleList(Messages(width, len(split)) for _ in range(_STEPS))
        self.net = head_layers(len(split) * 2 * width, features)

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and the nodes after the last step."""
        states = [side(entries) for side in self.nodes]
        near = [side.near for side in self.nodes]
        for step in self.steps:
            states = step(states, near)
        pooled = self.net(torch.cat([mean_and_max(*one) for one in states], 1))
        if not self.gives_tokens:
            return pooled, None, None
        return pooled, torch.cat([one for one, _ in states], 1), torch.cat([mask for _, mask in states], 1)


class Nodes(nn.Module):
    """The nodes of one side, and which of them are neighbours, ``near`` (s, s) float32."""

    near: Tensor

    def __init__(self, encoders: Mapping[str, Encoder], width: int) -> None:
        super().__init__()
        self.embed = TokenEmbedding(encoders, width)
        near: Tensor = torch.block_diag(*map(neighbours, encoders.values()))  # type: ignore[no-untyped-call]
        self.register_buffer("near", near, persistent=False)

    def forward(self, entries: Entries) -> State:
        """Embedded tokens and their mask."""
        tokens, mask = self.embed(entries)
        return tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask


class Messages(nn.Module):
    """One step of message passing within one side or between two."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(count))
        self.ends = nn.ModuleList(nn.Linear(width, width) for _ in range(count if count == 2 else 0))
        received = (2 if count == 1 else 4) * width
        self.updates = nn.ModuleList(nn.Linear(received, width) for _ in range(count))

    def forward(self, states: list[State], near: list[Tensor]) -> list[State]:
        """The states of the sides after messages along edges and from neighbours ``near``."""
        normed = [norm(nodes) for norm, (nodes, _) in zip(self.norms, states, strict=True)]
        received = [
            torch.cat([one, self._nearby(one, mask, close)], 2)
            for one, (_, mask), close in zip(normed, states, near, strict=True)
        ]
        if self.ends:
            first, second = (end(one) for end, one in zip(self.ends, normed, strict=True))
            edges = torch.relu(first[:, :, None] + second[:, None])
            received = [
                torch.cat([received[0], gathered(edges, states[1][1])], 2),
                torch.cat([received[1], gathered(edges.transpose(1, 2), states[0][1])], 2),
            ]
        changed = [torch.relu(update(one)) for update, one in zip(self.updates, received, strict=True)]
        return [(nodes + change, mask) for (nodes, mask), change in zip(states, changed, strict=True)]

    @staticmethod
    def _nearby(nodes: Tensor, mask: Tensor, near: Tensor) -> Tensor:
        there = mask[:, :, None].to(nodes.dtype)
        return (near @ (nodes * there)) / (near @ there).clamp(min=1)


def gathered(edges: Tensor, mask: Tensor) -> Tensor:
    """``[mean, max]`` over edges (n, a, b, width) of the senders b of a mask (n, b) bool: (n, a, 2 width).

    Edges are at least 0, so a maximum over what is masked by 0 is right.
    """
    n, receivers = edges.shape[:2]
    kept = edges * mask[:, None, :, None].to(edges.dtype)
    each = mask.sum(1).clamp(min=1)[:, None, None]
    return torch.cat([kept.sum(2) / each, kept.amax(2)], 2).view(n, receivers, -1)


def neighbours(encoder: Encoder) -> Tensor:
    """Which tokens are neighbours, (s, s) float32 of 0 and 1: at most one cell apart along every axis.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Tokens
        >>> from mm_envs.tokenizers import Vocabulary
        >>> neighbours(make_encoder(Tokens(3, Vocabulary.of(["red", "green"]))))
        tensor([[0., 1., 0.],
                [1., 0., 1.],
                [0., 1., 0.]])
    """
    if encoder.positions is None:
        return torch.zeros(encoder.count, encoder.count)
    near = torch.ones(encoder.count, encoder.count, dtype=torch.bool)
    for axis in encoder.positions.unbind(1):
        # Cells of an axis are equally far apart, so ranks are cells.
        cell = torch.from_numpy(np.unique(axis.numpy(), return_inverse=True)[1])
        near &= (cell[:, None] - cell).abs() <= 1
    return (near & ~torch.eye(encoder.count, dtype=torch.bool)).float()
