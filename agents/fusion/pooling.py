"""What several fusions share: which modalities there are, and how they are pooled."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.concat import Pools
from agents.fusion.fusion import Entries, exists, masked_mean


class Modalities(nn.Module):
    """The pooled vector of every entry, and which entries there are.

    An entry without a token (absent, or a text without words) is missing.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int) -> None:
        super().__init__()
        self.pools = Pools(encoders, width)

    def forward(self, entries: Entries) -> tuple[list[Tensor], Tensor]:
        """A vector (n, width) for each of E entries, and which there are, (n, E) bool."""
        pooled: dict[str, Tensor] = self.pools(entries)
        return list(pooled.values()), torch.stack([exists(entries[key]).any(1) for key in pooled], 1)


class ProjectedMean(nn.Module):
    """``m = mean_e (V_e p_e + b_e)`` over the entries that there are; 0 where there is none."""

    def __init__(self, encoders: Mapping[str, Encoder], width: int, outputs: int) -> None:
        super().__init__()
        self.modalities = Modalities(encoders, width)
        self.project = nn.ModuleList(nn.Linear(width, outputs) for _ in encoders)

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor]:
        """Vectors (n, outputs), and which rows have an entry, (n,) bool."""
        pooled, there = self.modalities(entries)
        projected = [layer(one) for layer, one in zip(self.project, pooled, strict=True)]
        return masked_mean(torch.stack(projected, 1), there), there.any(1)


def masked_max(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """The maximum over the tokens (n, s, d) that there are, (n, d); 0 where there is none.

    Example:
        >>> masked_max(torch.tensor([[[-2.0], [5.0]]] * 2), torch.tensor([[True, False], [False, False]]))
        tensor([[-2.],
                [ 0.]])
    """
    if mask is None:
        return tokens.amax(1)
    largest = tokens.masked_fill(~mask[:, :, None], torch.finfo(tokens.dtype).min).amax(1)
    return largest.masked_fill(~mask.any(1)[:, None], 0.0)


def mean_and_max(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """``[mean, maximum]`` over the tokens (n, s, d) that there are, (n, 2 d)."""
    return torch.cat([masked_mean(tokens, mask), masked_max(tokens, mask)], 1)


def condition_keys(encoders: Mapping[str, Encoder]) -> list[str]:
    """The entries that condition others: texts, and entries of one token without a position.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Image, Vector
        >>> condition_keys({"image": make_encoder(Image(36, 36)), "point": make_encoder(Vector(2))})
        ['point']
    """
    single = {key for key, one in encoders.items() if one.count == 1 and one.positions is None}
    return [key for key, one in encoders.items() if one.vocabulary or key in single]


def sides(encoders: Mapping[str, Encoder], first: list[str]) -> tuple[dict[str, Encoder], dict[str, Encoder]]:
    """The encoders of the keys of ``first``, and the others."""
    one = {key: encoder for key, encoder in encoders.items() if key in first}
    return one, {key: encoder for key, encoder in encoders.items() if key not in first}
