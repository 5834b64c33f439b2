"""Encoders and fusion: what they see, what they ignore, and that rows do not see each other."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from agents.encoders import make_encoder
from agents.encoders.audio import LogMel, mel_filters
from agents.encoders.image import Pictures
from agents.fusion import FusedEncoder
from mm_envs.spaces import Audio, Count, Image, Tokens, Vector, Video
from mm_envs.tokenizers import Vocabulary

WORDS = Vocabulary.of(["red", "green", "blue"])
SPACES = {
    "image": Image(36, 40),
    "grey": Image(36, 36, channels=1),
    "large": Image(128, 96),
    "video": Video(3, 36, 36),
    "audio": Audio(2000, 8000),
    "short_audio": Audio(50, 8000),
    "tokens": Tokens(5, WORDS),
    "vector": Vector(3),
    "count": Count(6),
    "many": Count(100_000),
    "choice": gym.spaces.Discrete(4, start=1),
    "box": gym.spaces.Box(-2.0, 2.0, (2, 2)),
}


def batch(space: gym.Space, n: int) -> torch.Tensor:
    space.seed(0)
    return torch.from_numpy(np.stack([np.asarray(space.sample()) for _ in range(n)]))


@pytest.mark.parametrize("key", SPACES)
def test_an_encoder_sees_its_entry_and_each_row_by_itself(key: str) -> None:
    torch.manual_seed(0)
    encoder, entries = make_encoder(SPACES[key], 16), batch(SPACES[key], 6)
    features = encoder(entries)
    assert features.shape == (6, 16)
    assert features.dtype == torch.float32
    assert torch.allclose(encoder(entries[2:3]), features[2:3], atol=1e-5)
    assert features.std(dim=0).max() > 1e-3
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize("key", ["image", "video", "tokens", "count"])
def test_entries_may_come_as_floats(key: str) -> None:
    encoder, entries = make_encoder(SPACES[key], 8), batch(SPACES[key], 3)
    assert torch.equal(encoder(entries), encoder(entries.float()))


def test_a_choice_may_come_one_hot() -> None:
    encoder, choices = make_encoder(SPACES["choice"], 8), torch.tensor([1, 3, 4])
    one_hot = nn.functional.one_hot(choices - 1, 4).float()
    assert torch.equal(encoder(choices), encoder(one_hot))
    assert torch.equal(encoder(choices[:, None]), encoder(one_hot[:, None]))


def test_coordinates_are_two_more_channels() -> None:
    """The split of the first convolution equals one over the scaled picture and its coordinates."""
    torch.manual_seed(0)
    net, pictures = Pictures(3, 36, 40, 8), batch(SPACES["image"], 4)
    whole = nn.Conv2d(5, net.pixels.out_channels, 5, stride=3, padding=1)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([net.pixels.weight, net.places.weight], dim=1))
        whole.bias.copy_(net.places.bias)
    coordinates = net.coordinates.expand(4, -1, -1, -1)
    plain = net.out(net.pool(net.rest(whole(torch.cat([pictures / 255.0, coordinates], dim=1)))))
    assert torch.allclose(net(pictures), plain, atol=1e-5)


def test_a_picture_encoder_knows_where_it_looks() -> None:
    torch.manual_seed(0)
    net = Pictures(1, 120, 120, 8)
    net.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Upsample(scale_factor=6))
    spot = torch.zeros(2, 1, 120, 120)
    spot[0, :, 36:42, 36:42] = spot[1, :, 72:78, 72:78] = 255.0
    different = (net(spot)[0] - net(spot)[1]).abs().max()
    with torch.no_grad():
        net.coordinates.zero_()
    # The strides move both spots by whole grid cells: without coordinates they are one and the same.
    assert (net(spot)[0] - net(spot)[1]).abs().max() < 1e-5 < different / 10


@pytest.mark.parametrize(("key", "length"), [("audio", 700), ("tokens", 2), ("video", 2), ("vector", 1)])
def test_what_lies_beyond_the_length_is_not_seen(key: str, length: int) -> None:
    encoder, entries = make_encoder(SPACES[key], 8), batch(SPACES[key], 3)
    lengths = torch.full((3, 1), length)
    other = entries.clone()
    other[:, length:] = entries[:, length:].flip(0).roll(1, -1)
    assert not torch.equal(other, entries)
    assert torch.equal(encoder(entries, lengths), encoder(other, lengths))
    assert not torch.equal(encoder(entries), encoder(other))


def test_the_order_of_words_is_seen() -> None:
    encoder = make_encoder(SPACES["tokens"], 8)
    there, back = torch.tensor([[3, 4, 5, 0, 0]]), torch.tensor([[5, 4, 3, 0, 0]])
    assert not torch.allclose(encoder(there), encoder(back))


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 2500.0])
def test_a_tone_rings_in_the_mel_band_of_its_frequency(frequency: float) -> None:
    time = torch.arange(8000) / 8000
    spectrogram = LogMel(8000)(torch.sin(2 * torch.pi * frequency * time)[None])[0].mean(dim=1)
    mel = 2595.0 * np.log10(1.0 + frequency / 700.0)
    highest = 2595.0 * np.log10(1.0 + 4000.0 / 700.0)
    assert abs(int(spectrogram.argmax()) - (mel / highest * 41 - 1)) < 1.0


@pytest.mark.parametrize(("bands", "window", "rate"), [(40, 256, 8000), (40, 512, 16000), (8, 64, 8000)])
def test_every_mel_filter_hears_something(bands: int, window: int, rate: int) -> None:
    filters = mel_filters(bands, window, rate)
    assert filters.shape == (window // 2 + 1, bands)
    assert (filters.sum(dim=0) > 0.5).all()


def test_fusion_takes_every_entry_and_ignores_what_is_absent() -> None:
    torch.manual_seed(0)
    space = gym.spaces.Dict({**SPACES, "audio_present": Count(1), "tokens_length": Count(5)})
    encoder = FusedEncoder(space, features=12)
    observation = {key: batch(part, 4) for key, part in space.items()}
    observation["audio_present"] = torch.tensor([[1], [0], [1], [0]])
    features = encoder(observation)
    assert features.shape == (4, 12)
    assert set(encoder.encoders) == set(SPACES)
    louder = encoder({**observation, "audio": observation["audio"].flip(0)})
    assert torch.equal(louder[1], features[1])
    assert not torch.allclose(louder[0], features[0])


def test_an_unknown_fusion_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="fusion='concatt' is not one of concat"):
        FusedEncoder(gym.spaces.Dict({"vector": Vector(2)}), fusion="concatt")


def test_a_space_without_an_encoder_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="has no encoder: the kinds with one are Image"):
        FusedEncoder(gym.spaces.Dict({"bits": gym.spaces.MultiBinary(3)}))
