"""Augmentations: each row by its own hash, and what they change."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from agents.augment import colour_jitter, drop_words, random_shift, spec_augment
from agents.encoders import make_encoder
from mm_envs.random import stream
from mm_envs.spaces import Audio

N = 64
GENERATOR = torch.Generator().manual_seed(0)
PICTURES = torch.randint(0, 256, (N, 3, 20, 24), generator=GENERATOR).to(torch.uint8)
SPECTROGRAMS = torch.randn(N, 10, 14, generator=GENERATOR)
TEXTS = torch.randint(0, 9, (N, 7), generator=GENERATOR)
HASHES = torch.arange(N) * 7919 + stream(5, "tests.augment")

AUGMENTATIONS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Tensor]] = {
    "shift": (random_shift, PICTURES),
    "video": (random_shift, PICTURES[:, None].expand(-1, 3, -1, -1, -1)),
    "colour": (colour_jitter, PICTURES),
    "grey": (colour_jitter, PICTURES[:, :1]),
    "spectrogram": (partial(spec_augment, masks=2), SPECTROGRAMS),
    "unknown": (partial(drop_words, probability=0.5), TEXTS),
    "padding": (partial(drop_words, probability=0.5, to="padding"), TEXTS),
}


@pytest.mark.parametrize("key", AUGMENTATIONS)
def test_a_row_depends_on_its_hash_alone(key: str) -> None:
    augment, entries = AUGMENTATIONS[key]
    state = torch.get_rng_state()
    before = entries.clone()
    changed = augment(entries, HASHES)
    assert torch.equal(entries, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert changed.shape == entries.shape
    rows = torch.tensor([9, 3, 40])
    torch.testing.assert_close(augment(entries[rows], HASHES[rows]), changed[rows], atol=1e-4, rtol=1e-6)
    same = augment(entries[:1].expand_as(entries).contiguous(), HASHES)
    assert len(same.flatten(1).unique(dim=0)) > N // 8
    assert augment(entries[:0], HASHES[:0]).shape == entries[:0].shape


def test_shifted_pictures_are_moved_and_their_border_repeated() -> None:
    shifted = random_shift(PICTURES, HASHES, pixels=2)
    padded = torch.nn.functional.pad(PICTURES.float(), (2, 2, 2, 2), mode="replicate").to(torch.uint8)
    found = set()
    for row in range(N):
        crops = {
            (down, right)
            for down in range(5)
            for right in range(5)
            if torch.equal(padded[row, :, down : down + 20, right : right + 24], shifted[row])
        }
        assert len(crops) == 1
        found |= crops
    assert len(found) > 15
    assert torch.equal(random_shift(PICTURES, HASHES, pixels=0), PICTURES)


def test_frames_of_a_video_shift_alike() -> None:
    video = PICTURES[:, None].expand(-1, 3, -1, -1, -1)
    shifted = random_shift(video, HASHES)
    assert torch.equal(shifted[:, 0], random_shift(PICTURES, HASHES))
    assert torch.equal(shifted[:, 0], shifted[:, 2])


def ratio(changed: Tensor, pixels: Tensor) -> float:
    """The factor of one row whose pixels were scaled."""
    return float((changed.double() / pixels.double()).median())


def test_colours_are_those_of_torchvision() -> None:
    """The factor of each adjustment is found, and torchvision's own function applied with it."""
    pixels = PICTURES.float().clamp(20, 150)
    bright = colour_jitter(pixels, HASHES, 0.3, 0, 0)
    factors = [ratio(bright[row], pixels[row]) for row in range(N)]
    assert min(factors) < 0.8 < 1.2 < max(factors)
    assert 0.7 <= min(factors) <= max(factors) <= 1.3
    contrast, saturation = colour_jitter(pixels, HASHES, 0, 0.3, 0), colour_jitter(pixels, HASHES, 0, 0, 0.3)
    for row in range(8):
        one = pixels[row] / 255
        wanted = functional.adjust_brightness(one, factors[row]) * 255
        torch.testing.assert_close(bright[row], wanted, atol=1e-2, rtol=1e-4)
        mean = functional.rgb_to_grayscale(one).mean() * 255
        factor = ratio(contrast[row] - mean, pixels[row] - mean)
        wanted = functional.adjust_contrast(one, factor) * 255
        torch.testing.assert_close(contrast[row], wanted, atol=0.05, rtol=1e-3)
        grey = functional.rgb_to_grayscale(one) * 255
        factor = ratio(saturation[row] - grey, pixels[row] - grey)
        wanted = functional.adjust_saturation(one, factor) * 255
        torch.testing.assert_close(saturation[row], wanted, atol=0.05, rtol=1e-3)


def test_colours_stay_within_their_range() -> None:
    changed = colour_jitter(PICTURES, HASHES, 1.0, 1.0, 1.0)
    assert changed.dtype == torch.float32
    assert 0 <= changed.min() <= changed.max() <= 255
    torch.testing.assert_close(colour_jitter(PICTURES, HASHES, 0, 0, 0), PICTURES.float(), atol=1e-3, rtol=0)


def test_masks_are_spans_of_bands_and_frames() -> None:
    ones = torch.ones(N, 10, 14)
    masked = spec_augment(ones, HASHES, bands=3, frames=4) == 0
    bands, frames = masked.all(2), masked.all(1)
    assert torch.equal(masked, bands[:, :, None] | frames[:, None, :])
    for spans, widest in ((bands, 3), (frames, 4)):
        assert set(spans.sum(1).tolist()) == set(range(widest + 1))
        edges = spans.int().diff(dim=1, prepend=torch.zeros(N, 1, dtype=torch.int32))
        assert (edges == 1).sum(1).max() == 1
        assert spans.any(0).all()
    assert torch.equal(spec_augment(SPECTROGRAMS, HASHES, masks=0), SPECTROGRAMS)
    assert not spec_augment(ones[:, :2, :2], HASHES, bands=9, frames=9).isnan().any()


@pytest.mark.parametrize("kind", ["cnn", "gru"])
def test_audio_encoders_take_an_augmentation(kind: str) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(Audio(3000, 8000), kind)
    sounds, hashes = torch.rand(4, 3000) - 0.5, HASHES[:4]
    plain = encoder(sounds)
    changed = encoder(sounds, augment=lambda log_mel: spec_augment(log_mel, hashes, 16, 8))
    alone = encoder(sounds[2:3], augment=lambda log_mel: spec_augment(log_mel, hashes[2:3], 16, 8))
    assert (changed.tokens != plain.tokens).flatten(1).any(1).sum() >= 3
    torch.testing.assert_close(alone.tokens, changed.tokens[2:3], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("to", "token"), [("unknown", 2), ("padding", 0)])
def test_words_are_dropped_with_their_probability(to: str, token: int) -> None:
    texts = torch.tensor([[3, 4, 1, 0, 2]]).expand(2000, -1)
    hashes = torch.arange(2000) + stream(1, "tests.augment")
    dropped = drop_words(texts, hashes, 0.3, to)
    changed = dropped != texts
    assert not changed[:, 2:].any()
    assert (dropped[changed] == token).all()
    # Five standard errors of a mean of 4,000.
    assert abs(changed[:, :2].float().mean() - 0.3) < 5 * (0.3 * 0.7 / 4000) ** 0.5
    assert torch.equal(drop_words(texts, hashes, 0.0), texts)
    assert (drop_words(texts, hashes, 1.0, to)[:, :2] == token).all()


def test_amounts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels=-1 is below 0"):
        random_shift(PICTURES, HASHES, pixels=-1)
    with pytest.raises(ValueError, match="contrast=2 is not within 0 to 1: give a share"):
        colour_jitter(PICTURES, HASHES, contrast=2)
    with pytest.raises(ValueError, match="masks=-1 is below 0"):
        spec_augment(SPECTROGRAMS, HASHES, masks=-1)
    with pytest.raises(ValueError, match="to='nothing' is not one of unknown, padding"):
        drop_words(TEXTS, HASHES, to="nothing")
    with pytest.raises(ValueError, match=r"probability=1\.5 is not within 0 to 1"):
        drop_words(TEXTS, HASHES, probability=1.5)
