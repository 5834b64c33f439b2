"""Tokens of a frozen encoder, computed once an item."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder
from mm_envs.names import at_least, check_one_of

_DTYPES = ("torch.float16", "torch.bfloat16", "torch.float32")

Entries = Callable[[Tensor], "Tensor | tuple[Tensor, Tensor]"]
"""From indices (k,) int64 of items to their entries (k, ...), alone or with their lengths (k, 1)."""


class FeatureCache:
    """Encodes items with a frozen encoder when they are first asked for, and keeps their tokens.

    Items of a pool appear many times in a training; a frozen encoder gives the same tokens each time. The
    tokens of an item are those of ``encoder(entry)`` up to float error, whatever else is asked for. Entries
    that are augmented must not be cached. The cache knows nothing of changes of the encoder: ``clear()`` it.

    Args:
        encoder: A frozen encoder, see ``adapters.trainable(encoder, "none")``.
        items: The number of items; their indices are 0 to items - 1.
        dtype: In which tokens are kept: float32, or float16 or bfloat16 for half the memory. They are given
            back in the dtype in which they were encoded.
        max_bytes: The most memory that the tokens may take.
        chunk: How many items are encoded at a time.

    Raises:
        ValueError: The encoder is trained, the tokens of all items exceed the memory, or the dtype is
            another one.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Image
        >>> pictures = torch.zeros(10, 3, 36, 36, dtype=torch.uint8)
        >>> cache = FeatureCache(make_encoder(Image(36, 36)).requires_grad_(False), items=10)
        >>> cache(torch.tensor([3, 1, 3]), lambda items: pictures[items]).tokens.shape, cache.filled
        (torch.Size([3, 25, 64]), 2)
    """

    def __init__(
        self,
        encoder: Encoder,
        items: int,
        dtype: torch.dtype = torch.float32,
        max_bytes: int = 2**31,
        chunk: int = 256,
    ) -> None:
        at_least("items", items, 1)
        at_least("chunk", chunk, 1)
        check_one_of("dtype", str(dtype), _DTYPES)
        _check_frozen(encoder)
        needed = items * encoder.count * encoder.width * dtype.itemsize
        if needed > max_bytes:
            raise ValueError(
                f"max_bytes={max_bytes:,} is below the {needed:,} bytes of the tokens of {items:,} items "
                f"({encoder.count} x {encoder.width} numbers of {dtype}): raise it, take torch.float16, or "
                "cache fewer items"
            )
        self.encoder, self.items, self.dtype, self.chunk = encoder, items, dtype, chunk
        self._encoder_dtype = torch.float32
        self.clear()

    @property
    def filled(self) -> int:
        """How many items have been encoded."""
        return self._filled

    def clear(self) -> None:
        """Forgets all tokens, as is due when the encoder has changed."""
        self._filled = 0
        self._tokens: Tensor | None = None
        self._masks: Tensor | None = None
        self._known = torch.zeros(self.items, dtype=torch.bool)

    def __call__(self, items: Tensor, entries: Entries) -> Encoded:
        """The tokens of items (n,) int64, which may repeat; ``entries`` is asked for unknown ones alone.

        Raises:
            ValueError: There are no such items, or the encoder is trained by now.
        """
        if self._filled < self.items:
            self._ensure(items, entries)
        if self._tokens is None:
            raise ValueError("items is empty and nothing is cached: ask for at least one item first")
        rows = items.to(self._tokens.device)
        mask = None if self._masks is None else self._masks[rows]
        return Encoded(self._tokens[rows].to(self._encoder_dtype), mask, self.encoder.positions)

    def _ensure(self, items: Tensor, entries: Entries) -> None:
        """Encodes what is missing of items."""
        # Which items are known is asked on the host: once all are, nothing waits for the device any more.
        asked = torch.unique(items.detach().cpu())
        if len(asked) and not 0 <= int(asked[0]) <= int(asked[-1]) < self.items:
            raise ValueError(
                f"items from {int(asked[0])} to {int(asked[-1])} are not within 0 to {self.items - 1}: "
                "give their indices in the pool"
            )
        missing = asked[~self._known[asked]]
        if len(missing):
            _check_frozen(self.encoder)
        for part in missing.split(self.chunk) if len(missing) else ():
            self._write(part, self._encode(part.to(items.device), entries))

    @torch.no_grad()
    def _encode(self, items: Tensor, entries: Entries) -> Encoded:
        given = entries(items)
        encoded: Encoded = self.encoder(*given) if isinstance(given, tuple) else self.encoder(given)
        return encoded

    def _write(self, items: Tensor, encoded: Encoded) -> None:
        tokens = encoded.tokens
        if self._tokens is None:
            self._encoder_dtype = tokens.dtype
            self._tokens = tokens.new_empty(self.items, *tokens.shape[1:], dtype=self.dtype)
        if encoded.mask is not None and self._masks is None:
            # Items without a mask have all tokens.
            self._masks = torch.ones(self.items, tokens.shape[1], dtype=torch.bool, device=tokens.device)
        rows = items.to(tokens.device)
        self._tokens[rows] = tokens.to(self.dtype)
        if self._masks is not None and encoded.mask is not None:
            self._masks[rows] = encoded.mask
        self._known[items] = True
        self._filled += len(items)


def _check_frozen(encoder: nn.Module) -> None:
    trained = next((name for name, one in encoder.named_parameters() if one.requires_grad), None)
    if trained is not None:
        raise ValueError(
            f"encoder trains {trained!r}, which changes tokens: freeze it with trainable(encoder, 'none')"
        )
