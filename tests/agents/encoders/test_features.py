"""Cached tokens are those of the encoder, computed once an item."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agents.encoders import Encoder, make_encoder
from agents.encoders.adapters import trainable
from agents.encoders.encoded import Encoded
from agents.encoders.features import FeatureCache, FrozenFeatures
from mm_envs.spaces import Audio, Image, Tokens
from mm_envs.tokenizers import Vocabulary

N = 12
PICTURES = torch.randint(0, 256, (N, 3, 36, 36), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
BYTES = 25 * 64 * 4  # of the tokens of one picture


def frozen(space: Image) -> Encoder:
    torch.manual_seed(0)
    encoder = make_encoder(space)
    trainable(encoder, "none")
    return encoder


def sizes_of(encoder: Encoder) -> list[int]:
    """Grows by the number of rows whenever the encoder is called."""
    calls: list[int] = []
    encoder.register_forward_hook(lambda module, given, made: calls.append(len(given[0])))
    return calls


def asked(cache: FeatureCache, *items: int) -> Tensor:
    return cache(torch.tensor(items), PICTURES[list(items)]).tokens


def test_every_item_is_encoded_once_in_batches_of_one_size() -> None:
    encoder = frozen(Image(36, 36))
    calls, cache = sizes_of(encoder), FeatureCache(encoder, N, chunk=2)
    first = asked(cache, 5, 1, 5, 7)
    assert calls == [2, 2]
    again = asked(cache, 7, 5, 1)
    assert calls == [2, 2]
    assert torch.equal(again, first[[3, 0, 1]])
    asked(cache, 5, 0)
    assert (calls, cache.filled) == ([2, 2, 2], 4)
    everything = cache(torch.arange(N), PICTURES)
    assert (calls, cache.filled) == ([2] * 7, N)
    torch.testing.assert_close(everything.tokens, encoder(PICTURES).tokens, atol=1e-5, rtol=1e-5)
    assert everything.positions is encoder.positions
    cache.clear()
    assert cache.filled == 0
    asked(cache, 3)
    assert calls[-1] == 2


def test_tokens_do_not_depend_on_what_else_is_asked_for() -> None:
    encoder = frozen(Image(36, 36))
    one, other = FeatureCache(encoder, N), FeatureCache(encoder, N)
    alone = asked(one, 4)
    assert torch.equal(asked(other, *range(N))[4:5], alone)


def test_items_beyond_the_memory_are_encoded_each_time() -> None:
    encoder = frozen(Image(36, 36))
    bounded, whole = FeatureCache(encoder, N, max_bytes=3 * BYTES + 1), FeatureCache(encoder, N)
    everything = whole(torch.arange(N), PICTURES).tokens
    calls = sizes_of(encoder)
    for items in ([2, 9], [9, 4, 2, 7, 4, 7], [7, 8, 2], [2, 4]):
        assert torch.equal(asked(bounded, *items), everything[items])
    assert bounded.filled == 3
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float16, 1e-3), (torch.bfloat16, 1e-2), (torch.float32, 1e-6)]
)
def test_tokens_are_kept_in_another_dtype(dtype: torch.dtype, error: float) -> None:
    encoder = frozen(Image(36, 36))
    kept = FeatureCache(encoder, N, dtype=dtype)(torch.arange(N), PICTURES).tokens
    wanted = encoder(PICTURES).tokens
    assert kept.dtype == torch.float32
    assert (kept - wanted).abs().max() <= error * wanted.abs().max()
    bounded = FeatureCache(encoder, N, dtype=dtype, max_bytes=1)
    assert torch.equal(bounded(torch.arange(N), PICTURES).tokens, kept)


@pytest.mark.parametrize("key", ["tokens", "audio"])
def test_everything_that_rows_have_is_kept(key: str) -> None:
    torch.manual_seed(0)
    if key == "tokens":
        encoder = make_encoder(Tokens(4, Vocabulary.of(["red", "green"])), "gru")
        entries, lengths = torch.randint(0, 5, (6, 4)), torch.tensor([[4], [3], [2], [1], [0], [4]])
    else:
        encoder = make_encoder(Audio(2000, 8000), "gru")
        entries, lengths = torch.rand(6, 2000), torch.tensor([[2000], [900], [500], [1], [0], [1500]])
    trainable(encoder, "none")
    cache = FeatureCache(encoder, 6)
    cache(torch.tensor([4]), entries[[4]], lengths[[4]])
    items = torch.tensor([5, 0, 1, 2, 4, 3, 1])
    encoded = cache(items, entries[items], lengths[items])
    wanted = encoder(entries[items], lengths[items])
    torch.testing.assert_close(encoded.tokens, wanted.tokens, atol=1e-6, rtol=1e-5)
    assert encoded.mask is not None
    assert torch.equal(encoded.mask, wanted.mask)
    if key == "tokens":
        assert encoded.words is not None
        assert torch.equal(encoded.words, wanted.words)
        assert encoded.table is wanted.table


def test_nothing_is_asked_for_when_there_are_no_items() -> None:
    cache = FeatureCache(frozen(Image(36, 36)), N)
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(ValueError, match="ask for at least one item first"):
        cache(none, PICTURES[:0])
    asked(cache, 1)
    assert cache(none, PICTURES[:0]).tokens.shape == (0, 25, 64)


def test_what_cannot_be_cached_is_refused() -> None:
    encoder = make_encoder(Image(36, 36))
    with pytest.raises(
        ValueError, match=r"encoder trains 'pictures.stem.positions', which changes tokens: freeze"
    ):
        FeatureCache(encoder, N)
    trainable(encoder, "none")
    with pytest.raises(ValueError, match="max_bytes=0 is below 1"):
        FeatureCache(encoder, N, max_bytes=0)
    with pytest.raises(ValueError, match=r"dtype='torch\.int8' is not one of torch"):
        FeatureCache(encoder, N, dtype=torch.int8)
    cache = FeatureCache(encoder, N)
    for items in ([-1], [3, N]):
        with pytest.raises(ValueError, match="are not within 0 to 11: give their indices in the pool"):
            cache(torch.tensor(items), PICTURES[: len(items)])
    encoder.requires_grad_(True)
    with pytest.raises(ValueError, match="encoder trains"):
        asked(cache, 1)


def test_frozen_encoders_alone_are_cached() -> None:
    encoders = nn.ModuleDict({key: frozen(Image(36, 36)) for key in ("frozen", "moved", "trained")})
    encoders["trained"].requires_grad_(True)
    features = FrozenFeatures(encoders, N)
    context = dict.fromkeys((*encoders, "point"), PICTURES)
    found = features(context, torch.arange(N), ["frozen", "trained", "point"])
    assert [key for key, entry in found.items() if isinstance(entry, Encoded)] == ["frozen"]
    assert found.keys() == context.keys()


def test_tokens_are_forgotten_when_the_encoder_is_trained() -> None:
    encoder = frozen(Image(36, 36))
    features, items = FrozenFeatures(nn.ModuleDict({"image": encoder}), N), torch.arange(N)

    def image() -> Tensor | Encoded:
        return features({"image": PICTURES}, items, ["image"])["image"]

    image()
    encoder.requires_grad_(True)
    assert image() is PICTURES
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.mul_(0.5)
    encoder.requires_grad_(False)
    found = image()
    assert isinstance(found, Encoded)
    torch.testing.assert_close(found.tokens, encoder(PICTURES).tokens, atol=1e-5, rtol=1e-5)
