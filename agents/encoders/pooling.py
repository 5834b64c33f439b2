"""The tokens of one entry as one vector."""

from __future__ import annotations

from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder


class Flat(nn.Module):
    """A linear layer over all tokens of an entry, each position with weights of its own, then ReLU.

    Encoders ask for a second one by ``pooling_layers``. Tokens without positions (candidates) share the
    weights, and the result is the mean over them, so that their order does not matter.

    Args:
        encoder: The encoder of the entry, which decides the sizes.
        features: Numbers per entry.
    """

    def __init__(self, encoder: Encoder, features: int) -> None:
        super().__init__()
        self.ordered = encoder.ordered
        inputs = encoder.width * (encoder.count if self.ordered else 1)
        self.net = nn.Sequential()
        for _ in range(encoder.pooling_layers):
            self.net.extend([nn.Linear(inputs, features), nn.ReLU()])
            inputs = features

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
