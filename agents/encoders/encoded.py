"""Entries of observations as tokens: vectors with a mask and positions, to be attended to or pooled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from mm_envs.batch import SHARED, Batch


@dataclass(frozen=True)
class Encoded(Batch):
    """Encoded entries of n observations.

    Attributes:
        tokens: Vectors, (n, s, d) float32; 0 where there is no token.
        mask: Which tokens there are, (n, s) bool; None for all.
        positions: Where each token comes from, (s, p) float32 in -1 to 1: row and column in a picture, row,
            column and moment in a clip, pitch and moment in a sound, index in a text. None where tokens have
            no order, such as candidates.
        present: Rows whose entry exists, (n,) bool; None for all.
        words: The ids of the words that tokens are, (n, s) int64; None where they are no words.
        table: The embeddings of all words, (words, e) float32; None where tokens are no words.
    """

    tokens: Tensor
    mask: Tensor | None = None
    positions: Tensor | None = field(default=None, metadata=SHARED)
    present: Tensor | None = None
    words: Tensor | None = None
    table: Tensor | None = field(default=None, metadata=SHARED)

    @property
    def there(self) -> Tensor | None:
        """Which tokens of existing entries there are, (n, s) bool; None for all."""
        if self.present is None:
            return self.mask
        present = self.present[:, None]
        return present.expand(self.tokens.shape[:2]) if self.mask is None else self.mask & present

    def masked(self, mask: Tensor) -> Encoded:
        """The same entries without the tokens outside a mask (n, s) or (n, 1) bool."""
        both = mask if self.mask is None else mask & self.mask
        both = both.expand(self.tokens.shape[:2])
        tokens = self.tokens * both[:, :, None].to(self.tokens.dtype)
        return replace(self, tokens=tokens, mask=both)


Entry: TypeAlias = "Tensor | Encoded"
"""An entry of n observations, (n, ...), as it is observed or encoded already."""


class Blocks(nn.Module):
    """A module that can name its parts in order, so that the last of them can be trained alone."""

    def blocks(self) -> list[nn.Module]:
        """The parts that have parameters, in the order in which an entry passes them."""
        return list(_parts(self))


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """The children that have parameters; those of sequences and of ``Blocks`` one by one."""
    for child in module.children():
        if isinstance(child, Blocks):
            yield from child.blocks()
        # Subclasses of sequences are blocks of their own: a convolution with its norm.
        elif type(child) in (nn.Sequential, nn.ModuleList):
            yield from _parts(child)
        elif next(child.parameters(), None) is not None:
            yield child


class Encoder(Blocks):
    """Encodes entries of one space as tokens: ``encoder(entry, length=None) -> Encoded``.

    Args:
        width: d, numbers per token.
        count: s, the number of tokens.
        positions: Where each token comes from, (s, p); None where tokens have no order.

    Attributes:
        pooling_layers: How many linear layers pool the tokens to one vector.
        timed: Whether the last axis of positions is time.
        vocabulary: The number of words, where tokens are words of one; else 0.
        keeps_statistics: Whether ``batch_statistics`` leaves this encoder alone.
        batch_statistics: Whether batch norms that are trained use the statistics of the batch in training
            mode, so that a row depends on the others; see ``batch_statistics``. By default, and where they
            are frozen, they use the running ones.
    """

    positions: Tensor | None
    pooling_layers = 1
    timed = False
    vocabulary = 0
    keeps_statistics = False
    batch_statistics = False

    def __init__(self, width: int, count: int, positions: Tensor | None = None) -> None:
        super().__init__()
        self.width, self.count = width, count
        self.register_buffer("positions", positions, persistent=False)

    @property
    def ordered(self) -> bool:
        """Whether a token is known by its index: another order of the tokens is another entry."""
        return self.count == 1 or self.positions is not None

    def train(self, mode: bool = True) -> Encoder:
        """Sets training or evaluation mode; batch norms without batch statistics stay in the latter."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and not self._uses_batch(module):
                module.eval()
        return self

    def _uses_batch(self, norm: nn.Module) -> bool:
        return self.batch_statistics and any(one.requires_grad for one in norm.parameters())


@contextmanager
def batch_statistics(module: nn.Module, used: bool = True) -> Iterator[None]:
    """Batch norms of encoders use the statistics of the batch meanwhile, and update the running ones.

    Encoders whose statistics came with their weights keep them.
    """
    encoders = [one for one in module.modules() if isinstance(one, Encoder) and not one.keeps_statistics]
    for encoder in encoders:
        encoder.batch_statistics = used
        encoder.train()
    try:
        yield
    finally:
        for encoder in encoders:
            encoder.batch_statistics = False
            encoder.train()


def grid(*sizes: int) -> Tensor:
    """Positions of the cells of a grid, (product of sizes, len(sizes)), each axis from -1 to 1.

    Example:
        >>> grid(1, 2).tolist()
        [[0.0, -1.0], [0.0, 1.0]]
    """
    axes = [torch.linspace(-1, 1, size) if size > 1 else torch.zeros(1) for size in sizes]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(sizes))


def within(length: Tensor, count: int) -> Tensor:
    """Which of so many entries lie before a length (n, 1): (n, count) bool."""
    return torch.arange(count, device=length.device) < length.reshape(-1, 1)


class Flat(nn.Module):
    """A linear layer over all tokens of an entry, each position with weights of its own, then ReLU.

    Encoders ask for a second one by ``pooling_layers``. Tokens without positions (candidates) share the
    weights, and the result is the mean over them, so that their order does not matter.
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
