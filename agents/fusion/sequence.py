"""A recurrent network over the moments of all modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, Flat
from agents.fusion.film import joined
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, exists, head_layers, masked_mean

_UNTIMED = -2.0  # before the first moment, -1


class Sequence(Fusion):
    """A gated recurrent unit (Cho et al., 2014, arXiv 1406.1078) over the moments of all entries.

    A moment is a frame of a clip, a step of a sound or a word of a text, with all tokens that share it; an
    entry without time is one moment, before the others. Moments are sorted by time, -1 to 1 in each entry,
    and those that do not exist are left out. ``f = ReLU(LayerNorm(W [h_last, mean h]))`` of the states ``h``.

    The fused tokens are the states, next to the embedded tokens, which know positions within a moment.
    """

    order: Tensor

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.moments = nn.ModuleDict({key: Moments(one, width) for key, one in encoders.items()})
        times = torch.cat([moment_times(one) for one in encoders.values()])
        self.register_buffer("order", times.argsort(stable=True), persistent=False)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.net = head_layers(2 * width, features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features); states and embedded tokens."""
        each = [moments(entries[key]) for key, moments in self.moments.items()]
        inputs, there = compacted(
            *(torch.cat(several, 1)[:, self.order] for several in zip(*each, strict=True))
        )
        states = self.gru(inputs)[0]
        last = (there.sum(1) - 1).clamp(min=0)
        final = states[torch.arange(len(states), device=states.device), last]
        final = final.masked_fill(~there[:, :1], 0.0)
        pooled = self.net(torch.cat([final, masked_mean(states, there)], 1))
        if self.embed is None:
            return pooled, None, None
        return pooled, *joined([(states, there), self.embed(entries)])


class Moments(nn.Module):
    """One vector for each moment of an entry, ``ReLU(W [t_1, ..., t_c]) + k`` of the tokens that share it."""

    grouping: Tensor

    def __init__(self, encoder: Encoder, width: int) -> None:
        super().__init__()
        self.count = len(moment_times(encoder))
        grouping = token_times(encoder).argsort(stable=True)
        self.register_buffer("grouping", grouping, persistent=False)
        self.timed = is_timed(encoder)
        inputs = encoder.width * (encoder.count // self.count)
        self.net = nn.Sequential(nn.Linear(inputs, width), nn.ReLU()) if self.timed else Flat(encoder, width)
        self.kind = nn.Parameter(torch.randn(width) / width**0.5)

    def forward(self, entry: Encoded) -> tuple[Tensor, Tensor]:
        """Vectors (n, moments, width), and which there are, (n, moments) bool."""
        there, n = exists(entry), len(entry.tokens)
        if not self.timed:
            return self.net(entry)[:, None] + self.kind, there.any(1, keepdim=True)
        grouped = entry.tokens[:, self.grouping].view(n, self.count, -1)
        return self.net(grouped) + self.kind, there[:, self.grouping].view(n, self.count, -1).any(2)


def is_timed(encoder: Encoder) -> bool:
    """Whether the last axis of positions is time: sounds, clips, and texts by the index of the word."""
    return encoder.timed


def token_times(encoder: Encoder) -> Tensor:
    """The moment of each token, (s,) float32 in -1 to 1; -2 for entries without time."""
    if encoder.positions is None or not is_timed(encoder):
        return torch.full((encoder.count,), _UNTIMED)
    return encoder.positions[:, -1]


def moment_times(encoder: Encoder) -> Tensor:
    """The moments of an entry, in order.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Image, Video
        >>> moment_times(make_encoder(Video(3, 36, 36))), moment_times(make_encoder(Image(36, 36)))
        (tensor([-1.,  0.,  1.]), tensor([-2.]))
    """
    times: Tensor = token_times(encoder).unique()  # type: ignore[no-untyped-call]
    return times


def compacted(vectors: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (n, t, d) with those that exist first, in their order, and which these are, (n, t) bool.

    A recurrence that runs forwards then never meets padding before the last vector that exists.

    Example:
        >>> vectors, there = torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[False, True, True]])
        >>> moved, mask = compacted(vectors, there)
        >>> moved.flatten().tolist(), mask.tolist()
        ([2.0, 3.0, 1.0], [[True, True, False]])
    """
    order = (~there).to(torch.uint8).argsort(dim=1, stable=True)
    moved = vectors.gather(1, order[:, :, None].expand_as(vectors))
    return moved, there.gather(1, order)
