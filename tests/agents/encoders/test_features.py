"""Cached tokens are those of the encoder, computed once an item."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agents.encoders import Encoder, make_encoder
from agents.encoders.adapters import trainable
from agents.encoders.features import FeatureCache
from mm_envs.spaces import Audio, Image, Tokens
from mm_envs.tokenizers import Vocabulary

N = 12
PICTURES = torch.randint(0, 256, (N, 3, 36, 36), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def frozen(space: Image) -> Encoder:
    torch.manual_seed(0)
    encoder = make_encoder(space)
    trainable(encoder, "none")
    return encoder


class Recorded:
    """Entries that record which items were asked for."""

    def __init__(self, entries: Tensor) -> None:
        self.entries, self.items = entries, list[int]()

    def __call__(self, items: Tensor) -> Tensor:
        self.items += items.tolist()
        return self.entries[items]


def test_every_item_is_encoded_once() -> None:
    encoder, entries = frozen(Image(36, 36)), Recorded(PICTURES)
    calls: list[int] = []
    encoder.register_forward_hook(lambda module, given, made: calls.append(len(given[0])))
    cache = FeatureCache(encoder, N, chunk=2)
    first = cache(torch.tensor([5, 1, 5, 7]), entries)
    assert sorted(entries.items) == [1, 5, 7]
    assert calls == [2, 1]
    again = cache(torch.tensor([7, 5, 1]), entries)
    assert calls == [2, 1]
    assert torch.equal(again.tokens, first.tokens[[3, 0, 1]])
    cache(torch.tensor([5, 0]), entries)
    assert sorted(entries.items) == [0, 1, 5, 7]
    assert cache.filled == 4
    everything = cache(torch.arange(N), entries)
    assert sorted(entries.items) == list(range(N))
    assert cache.filled == N
    torch.testing.assert_close(everything.tokens, encoder(PICTURES).tokens, atol=1e-5, rtol=1e-5)
    assert everything.positions is encoder.positions
    cache.clear()
    assert cache.filled == 0
    cache(torch.tensor([3]), entries)
    assert len(entries.items) == N + 1


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float16, 1e-3), (torch.bfloat16, 1e-2), (torch.float32, 1e-6)]
)
def test_tokens_are_kept_in_another_dtype(dtype: torch.dtype, error: float) -> None:
    encoder = frozen(Image(36, 36))
    tokens = FeatureCache(encoder, N, dtype=dtype)(torch.arange(N), lambda items: PICTURES[items]).tokens
    wanted = encoder(PICTURES).tokens
    assert tokens.dtype == torch.float32
    assert (tokens - wanted).abs().max() <= error * wanted.abs().max()


@pytest.mark.parametrize("key", ["tokens", "audio"])
def test_masks_and_lengths_are_kept(key: str) -> None:
    torch.manual_seed(0)
    if key == "tokens":
        encoder = make_encoder(Tokens(4, Vocabulary.of(["red", "green"])), "gru")
        entries, lengths = torch.randint(0, 5, (6, 4)), torch.tensor([[4], [3], [2], [1], [0], [4]])
    else:
        encoder = make_encoder(Audio(2000, 8000), "gru")
        entries, lengths = torch.rand(6, 2000), torch.tensor([[2000], [900], [500], [1], [0], [1500]])
    trainable(encoder, "none")
    cache = FeatureCache(encoder, 6)
    cache(torch.tensor([4]), lambda items: (entries[items], lengths[items]))
    items = torch.tensor([5, 0, 1, 2, 4, 3, 1])
    encoded = cache(items, lambda items: (entries[items], lengths[items]))
    wanted = encoder(entries[items], lengths[items])
    torch.testing.assert_close(encoded.tokens, wanted.tokens, atol=1e-6, rtol=1e-5)
    assert encoded.mask is not None
    assert wanted.mask is not None
    assert torch.equal(encoded.mask, wanted.mask)


def test_nothing_is_asked_for_when_there_are_no_items() -> None:
    cache, entries = FeatureCache(frozen(Image(36, 36)), N), Recorded(PICTURES)
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(ValueError, match="ask for at least one item first"):
        cache(none, entries)
    cache(torch.tensor([1]), entries)
    assert cache(none, entries).tokens.shape == (0, 25, 64)


def test_what_cannot_be_cached_is_refused() -> None:
    encoder = make_encoder(Image(36, 36))
    with pytest.raises(
        ValueError, match=r"encoder trains 'pictures.stem.positions', which changes tokens: freeze"
    ):
        FeatureCache(encoder, N)
    trainable(encoder, "none")
    with pytest.raises(
        ValueError, match="max_bytes=1,000 is below the 76,800 bytes of the tokens of 12 items"
    ):
        FeatureCache(encoder, N, max_bytes=1000)
    FeatureCache(encoder, N, dtype=torch.float16, max_bytes=38_400)
    with pytest.raises(ValueError, match=r"dtype='torch\.int8' is not one of torch"):
        FeatureCache(encoder, N, dtype=torch.int8)
    cache = FeatureCache(encoder, N)
    for items in ([-1], [3, N]):
        with pytest.raises(ValueError, match="are not within 0 to 11: give their indices in the pool"):
            cache(torch.tensor(items), lambda items: PICTURES[items])
    encoder.requires_grad_(True)
    with pytest.raises(ValueError, match="encoder trains"):
        cache(torch.tensor([1]), lambda items: PICTURES[items])
