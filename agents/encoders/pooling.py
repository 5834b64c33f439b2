"""The tokens of one entry as one vector."""

from __future__ import annotations

from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder


class Flat(nn.Module):
    """A linear layer over all tokens of an entry, each position with weights of its own, then ReLU.

    Texts get a second one, which exact questions need. Tokens without positions (candidates) share one layer,
    and their mean counts, so that their order does not matter.

    Args:
        encoder: The encoder of the entry: its ``width`` and ``count``, and whether it has positions.
        features: Numbers per entry.
    """

    def __init__(self, encoder: Encoder, features: int) -> None:
        super().__init__()
        self.ordered = encoder.count == 1 or hasattr(encoder, "positions")
        inputs = encoder.width * (encoder.count if self.ordered else 1)
        self.net = nn.Sequential(nn.Linear(inputs, features), nn.ReLU())
        if getattr(encoder, "words", None) is not None:
            self.net.extend([nn.Linear(features, features), nn.ReLU()])

    def forward(self, entry: Encoded) -> Tensor:
        """Vectors (n, features)."""
        pooled: Tensor
        if self.ordered:
            pooled = self.net(entry.tokens.flatten(1))
            return pooled
        each = self.net(entry.tokens)
        if entry.mask is None:
            pooled = each.mean(1)
            return pooled
        there = entry.mask[:, :, None].to(each.dtype)
        pooled = (each * there).sum(1) / there.sum(1).clamp(min=1)
        return pooled
