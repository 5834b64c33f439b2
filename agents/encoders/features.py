"""Tokens of frozen encoders, computed once an item."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, Entry
from mm_envs.names import at_least, check_one_of

_DTYPES = ("torch.float16", "torch.bfloat16", "torch.float32")


class FeatureCache:
    """Encodes items with a frozen encoder when they are first asked for, and keeps their tokens.

    Items of a pool appear many times in a training; a frozen encoder gives the same tokens each time. The
    tokens of an item are those of ``encoder(entry)`` up to float error. Items are encoded in batches of one
    size, so that this error does not depend on what else is asked for. Entries that are augmented must not
    be cached. The cache knows nothing of changes of the encoder: ``clear()`` it.

    Args:
        encoder: A frozen encoder, see ``adapters.trainable(encoder, "none")``.
        items: The number of items; their indices are 0 to items - 1.
        dtype: In which tokens are kept: float32, or float16 or bfloat16 for half the memory. They are given
            back in the dtype in which they were encoded.
        max_bytes: The most memory that the kept items take; at least one item is kept. Once it is taken,
            further items are encoded whenever they are asked for, with equal results.
        chunk: How many items are encoded at a time; the last chunk is padded.

    Raises:
        ValueError: The encoder is trained, the dtype is another one, or a number is below 1.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Image
        >>> pictures = torch.zeros(3, 3, 36, 36, dtype=torch.uint8)
        >>> cache = FeatureCache(make_encoder(Image(36, 36)).requires_grad_(False), items=10)
        >>> cache(torch.tensor([3, 1, 3]), pictures).tokens.shape, cache.filled
        (torch.Size([3, 25, 64]), 2)
    """

    def __init__(
        self,
        encoder: Encoder,
        items: int,
        dtype: torch.dtype = torch.float32,
        max_bytes: int = 2**31,
        chunk: int = 16,
    ) -> None:
        for name, value in (("items", items), ("max_bytes", max_bytes), ("chunk", chunk)):
            at_least(name, value, 1)
        check_one_of("dtype", str(dtype), _DTYPES)
        self.encoder, self.items, self.dtype, self.chunk = encoder, items, dtype, chunk
        self.max_bytes, self._encoder_dtype = max_bytes, torch.float32
        self._check_frozen()
        self.clear()

    @property
    def filled(self) -> int:
        """How many items are kept."""
        return self._filled

    def clear(self) -> None:
        """Forgets all tokens, as is due when the encoder has changed."""
        self._filled = 0
        self._kept: Encoded | None = None
        # The row of each item in what is kept; -1 for none.
        self._rows = torch.full((self.items,), -1)

    def __call__(self, items: Tensor, entry: Tensor, length: Tensor | None = None) -> Encoded:
        """The encoded entries of items; rows of items that are kept are not looked at.

        Args:
            items: (n,) int64; they may repeat.
            entry: The entry of each, (n, ...).
            length: Its length, (n, 1); given in every call or in none.

        Raises:
            ValueError: There are no such items, or the encoder is trained by now.
        """
        self._rows = self._rows.to(items.device)
        # Once all items are kept, nothing waits for the device any more.
        if self._filled == self.items:
            return self._taken(self._rows[items])
        if len(items) and not 0 <= int(items.min()) <= int(items.max()) < self.items:
            raise ValueError(
                f"items from {int(items.min())} to {int(items.max())} are not within 0 to {self.items - 1}: "
                "give their indices in the pool"
            )
        unknown = (self._rows[items] < 0).nonzero()[:, 0]
        if not len(unknown):
            return self._taken(self._rows[items])
        new, group = torch.unique(items[unknown], return_inverse=True)
        # Any of the rows of an item will do.
        rows = torch.empty_like(new).scatter_(0, group, unknown)
        fresh = self._encoded(entry[rows], None if length is None else length[rows])
        self._keep(new, fresh)
        taken, left = self._rows[items], (self._rows[items] < 0).nonzero()[:, 0]
        found = self._taken(taken.clamp(min=0))
        if len(left):
            others = fresh.take(torch.searchsorted(new, items[left]))
            _write(found, left, replace(others, tokens=others.tokens.to(self._encoder_dtype)))
        return found

    @torch.no_grad()
    def _encoded(self, entry: Tensor, length: Tensor | None) -> Encoded:
        """Encoded entries, in chunks of one size: kernels that depend on the size change the last digits."""
        self._check_frozen()
        rows = torch.arange(len(entry), device=entry.device)
        padded = torch.cat([rows, rows[-1:].expand(-len(rows) % self.chunk)])
        parts: list[Encoded] = [
            self.encoder(entry[part], None if length is None else length[part])
            for part in torch.split(padded, self.chunk)
        ]
        found = Encoded.join(parts).take(rows)
        self._encoder_dtype = found.tokens.dtype
        return replace(found, tokens=found.tokens.to(self.dtype))

    def _keep(self, items: Tensor, fresh: Encoded) -> None:
        """Keeps as many items as there is room for."""
        if self._kept is None:
            each = sum(one[0].numel() * one.dtype.itemsize for one in _values(fresh).values())
            room = min(self.items, max(self.max_bytes // each, 1))
            made = {name: one.new_empty(room, *one.shape[1:]) for name, one in _values(fresh).items()}
            self._kept = replace(fresh, **made)
        count = min(len(items), len(self._kept.tokens) - self._filled)
        rows = torch.arange(self._filled, self._filled + count, device=items.device)
        _write(self._kept, rows, fresh.take(rows - self._filled))
        self._rows[items[:count]] = rows
        self._filled += count

    def _taken(self, rows: Tensor) -> Encoded:
        """Some rows of what is kept, as new tensors."""
        if self._kept is None:
            raise ValueError("items is empty and nothing is cached: ask for at least one item first")
        found = self._kept.take(rows)
        return replace(found, tokens=found.tokens.to(self._encoder_dtype))

    def _check_frozen(self) -> None:
        named = self.encoder.named_parameters()
        trained = next((name for name, one in named if one.requires_grad), None)
        if trained is not None:
            raise ValueError(
                f"encoder trains {trained!r}, which changes tokens: freeze it with trainable(encoder, 'none')"
            )


class FrozenFeatures:
    """Encodes the entries of frozen encoders once an item; other entries stay as they are.

    Each entry has a ``FeatureCache`` of its own, whose memory is bounded. Encoders without parameters count
    as trained: they take little time. What is kept of an encoder is forgotten when it is trained.

    Args:
        encoders: The encoder of each entry, by key.
        items: The number of items; their indices are 0 to items - 1.
        max_bytes: The most memory of each entry, see ``FeatureCache``.

    Example:
        >>> from agents.encoders import make_encoder
        >>> from mm_envs.spaces import Image
        >>> encoders = nn.ModuleDict({"image": make_encoder(Image(36, 36)).requires_grad_(False)})
        >>> features = FrozenFeatures(encoders, items=10)
        >>> context = {"image": torch.zeros(2, 3, 36, 36), "point": torch.zeros(2, 3)}
        >>> found = features(context, torch.tensor([4, 7]), context)
        >>> {key: type(entry).__name__ for key, entry in found.items()}
        {'image': 'Encoded', 'point': 'Tensor'}
    """

    def __init__(self, encoders: nn.ModuleDict, items: int, max_bytes: int = 2**31) -> None:
        self._encoders, self._items, self._max_bytes = encoders, items, max_bytes
        self.caches: dict[str, FeatureCache] = {}

    def __call__(
        self, context: Mapping[str, Tensor], items: Tensor, keys: Collection[str]
    ) -> Mapping[str, Entry]:
        """A context with the entries of frozen encoders encoded.

        Args:
            context: Entries (n, ...).
            items: The item of each row, (n,) int64.
            keys: The entries that the item alone decides.
        """
        found: dict[str, Entry] = dict(context)
        for key, encoder in self._encoders.items():
            cache = self._cache(key, encoder)
            if cache is not None and key in keys:
                found[key] = cache(items, context[key], context.get(f"{key}_length"))
        return found

    def clear(self) -> None:
        """Forgets all tokens, as is due when weights have changed."""
        self.caches.clear()

    def _cache(self, key: str, encoder: nn.Module) -> FeatureCache | None:
        """The cache of a frozen encoder; None for others."""
        wanted = [one.requires_grad for one in encoder.parameters()]
        if not wanted or any(wanted):
            self.caches.pop(key, None)
            return None
        assert isinstance(encoder, Encoder)
        # The encoder of an entry can be exchanged, as unions do.
        if key not in self.caches or self.caches[key].encoder is not encoder:
            self.caches[key] = FeatureCache(encoder, self._items, max_bytes=self._max_bytes)
        return self.caches[key]


def _values(encoded: Encoded) -> dict[str, Tensor]:
    """The fields that each row has."""
    own = {one.name: getattr(encoded, one.name) for one in fields(encoded) if not one.metadata.get("shared")}
    return {name: value for name, value in own.items() if value is not None}


def _write(into: Encoded, rows: Tensor, given: Encoded) -> None:
    """Writes all rows of one batch into some rows of another."""
    values = _values(given)
    for name, value in _values(into).items():
        value[rows] = values[name]
