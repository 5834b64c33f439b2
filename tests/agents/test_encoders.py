"""Encoders and fusion: what they see, what they ignore, and that rows do not see each other."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from agents.encoders import PooledEncoder, make_encoder
from agents.encoders.audio import LogMel, mel_filters
from agents.encoders.image import Pictures
from agents.fusion import FUSIONS, FusedEncoder
from mm_envs.spaces import Audio, Candidates, Count, Image, Tokens, Vector, Video
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
    "candidates": Candidates(Image(36, 36), 4),
    "texts": Candidates(Tokens(3, WORDS), 5),
}


def batch(space: gym.Space, n: int) -> torch.Tensor:
    space.seed(0)
    return torch.from_numpy(np.stack([np.asarray(space.sample()) for _ in range(n)]))


@pytest.mark.parametrize("key", SPACES)
def test_an_encoder_sees_its_entry_and_each_row_by_itself(key: str) -> None:
    torch.manual_seed(0)
    encoder, entries = make_encoder(SPACES[key]), batch(SPACES[key], 6)
    encoded = encoder(entries)
    assert encoded.tokens.shape == (6, encoder.count, encoder.width)
    assert encoded.tokens.dtype == torch.float32
    assert encoded.mask is None or encoded.mask.shape == (6, encoder.count)
    assert encoded.positions is None or len(encoded.positions) == encoder.count
    assert torch.allclose(encoder(entries[2:3]).tokens, encoded.tokens[2:3], atol=1e-5)
    assert encoded.tokens.std(dim=0).max() > 1e-3
    encoded.tokens.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize("key", ["image", "video", "tokens", "count"])
def test_entries_may_come_as_floats(key: str) -> None:
    encoder, entries = make_encoder(SPACES[key]), batch(SPACES[key], 3)
    assert torch.equal(encoder(entries).tokens, encoder(entries.float()).tokens)


def test_a_choice_may_come_one_hot() -> None:
    encoder, choices = make_encoder(SPACES["choice"]), torch.tensor([1, 3, 4])
    one_hot = nn.functional.one_hot(choices - 1, 4).float()
    assert torch.equal(encoder(choices).tokens, encoder(one_hot).tokens)
    assert torch.equal(encoder(choices[:, None]).tokens, encoder(one_hot[:, None]).tokens)


def test_coordinates_are_two_more_channels() -> None:
    """The split of the first convolution equals one over the scaled picture and its coordinates."""
    torch.manual_seed(0)
    net, pictures = Pictures(3, 36, 40), batch(SPACES["image"], 4)
    whole = nn.Conv2d(5, net.pixels.out_channels, 5, stride=3, padding=1)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([net.pixels.weight, net.places.weight], dim=1))
        whole.bias.copy_(net.places.bias)
    coordinates = net.coordinates.expand(4, -1, -1, -1)
    plain = net.pool(net.rest(whole(torch.cat([pictures / 255.0, coordinates], dim=1))))
    assert torch.allclose(net(pictures), plain.flatten(2).transpose(1, 2), atol=1e-5)


def test_a_picture_encoder_knows_where_it_looks() -> None:
    torch.manual_seed(0)
    net = Pictures(1, 120, 120, largest=1)
    spot = torch.zeros(2, 1, 120, 120)
    spot[0, :, 36:42, 36:42] = spot[1, :, 72:78, 72:78] = 255.0
    different = (net(spot)[0] - net(spot)[1]).abs().max()
    with torch.no_grad():
        net.coordinates.zero_()
    # The strides move both spots by whole grid cells: without coordinates they are one and the same.
    assert (net(spot)[0] - net(spot)[1]).abs().max() < 1e-5 < different / 10


@pytest.mark.parametrize(("key", "length"), [("audio", 700), ("tokens", 2), ("video", 2), ("vector", 1)])
def test_what_lies_beyond_the_length_is_not_seen(key: str, length: int) -> None:
    encoder, entries = make_encoder(SPACES[key]), batch(SPACES[key], 3)
    lengths = torch.full((3, 1), length)
    other = entries.clone()
    other[:, length:] = entries[:, length:].flip(0).roll(1, -1)
    assert not torch.equal(other, entries)
    seen, same = encoder(entries, lengths), encoder(other, lengths)
    assert torch.equal(seen.tokens, same.tokens)
    assert (seen.mask is None) == (same.mask is None)
    assert seen.mask is None or torch.equal(seen.mask, same.mask)
    assert not torch.equal(encoder(entries).tokens, encoder(other).tokens)


def test_the_order_of_words_is_seen() -> None:
    encoder = PooledEncoder(SPACES["tokens"], 8)
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


@pytest.mark.parametrize("key", ["candidates", "texts"])
def test_candidates_in_another_order_are_the_same_tokens_in_that_order(key: str) -> None:
    torch.manual_seed(0)
    space, order = SPACES[key], torch.randperm(SPACES[key].shape[0])
    encoder, entries = make_encoder(space), batch(space, 3)
    assert torch.allclose(encoder(entries[:, order]).tokens, encoder(entries).tokens[:, order], atol=1e-6)
    for fusion in FUSIONS:
        fused = FusedEncoder(gym.spaces.Dict({"several": space}), features=8, fusion=fusion)
        pooled, other = fused({"several": entries}), fused({"several": entries[:, order]})
        assert torch.allclose(pooled, other, atol=1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("key", ["video", "audio", "tokens"])
def test_time_is_seen(fusion: str, key: str) -> None:
    """A reversed clip is another clip, a reversed sound another sound, in every fusion."""
    torch.manual_seed(0)
    entries = batch(SPACES[key], 4)
    if key == "video":
        entries = entries // torch.tensor([1, 2, 8])[:, None, None, None]
    elif key == "tokens":
        entries = torch.tensor([[3, 4, 5, 0, 0], [3, 3, 4, 4, 5], [5, 3, 0, 0, 0], [4, 5, 5, 5, 3]])
    fused = FusedEncoder(gym.spaces.Dict({key: SPACES[key]}), features=16, fusion=fusion)
    assert (fused({key: entries}) - fused({key: entries.flip(1)})).abs().amax(1).min() > 1e-3


def test_a_video_whose_frames_change_places_is_another_one_at_any_distance() -> None:
    """Frames that the convolution over time does not bring together keep their moments."""
    torch.manual_seed(0)
    space = Video(8, 36, 36)
    encoder, video = PooledEncoder(space, 16), batch(space, 2)
    order = torch.tensor([6, 1, 2, 3, 4, 5, 0, 7])
    assert not torch.allclose(encoder(video), encoder(video[:, order]), atol=1e-3)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_tokens_of_entries_are_kept_on_demand(fusion: str) -> None:
    space = gym.spaces.Dict({"candidates": SPACES["candidates"], "vector": SPACES["vector"]})
    encoder = FusedEncoder(space, features=8, fusion=fusion, keep=("candidates",))
    fused = encoder.fused({key: batch(part, 3) for key, part in space.items()})
    assert set(fused.entries) == {"candidates"}
    taken = fused.take(torch.tensor([2, 0]))
    assert torch.equal(taken.pooled, fused.pooled[[2, 0]])
    assert torch.equal(taken.entries["candidates"].tokens, fused.entries["candidates"].tokens[[2, 0]])
    with pytest.raises(ValueError, match="keep='image' is not one of candidates, vector"):
        FusedEncoder(space, keep=("image",))


def test_positions_are_shared_and_survive_taking_rows() -> None:
    encoder = make_encoder(SPACES["image"])
    encoded = encoder(batch(SPACES["image"], 3))
    assert encoded.take(torch.tensor([1])).positions is encoded.positions
    assert encoded.positions is not None
    assert encoded.positions.abs().max() == 1


@pytest.mark.parametrize("key", SPACES)
def test_linear_layers_get_contiguous_tokens(key: str) -> None:
    """Torch's linear layer picks its kernel for others by whether the weight requires a gradient."""
    assert PooledEncoder(SPACES[key], 8).encoder(batch(SPACES[key], 3)).tokens.is_contiguous()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusion_takes_every_entry_and_ignores_what_is_absent(fusion: str) -> None:
    torch.manual_seed(0)
    space = gym.spaces.Dict({**SPACES, "audio_present": Count(1), "tokens_length": Count(5)})
    encoder = FusedEncoder(space, features=12, fusion=fusion)
    observation = {key: batch(part, 4) for key, part in space.items()}
    observation["audio_present"] = torch.tensor([[1], [0], [1], [0]])
    features = encoder(observation)
    assert features.shape == (4, 12)
    assert set(encoder.encoders) == set(SPACES)
    louder = encoder({**observation, "audio": observation["audio"].flip(0)})
    assert torch.allclose(louder[1], features[1], atol=1e-6)
    assert not torch.allclose(louder[0], features[0])


def test_an_unknown_fusion_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="fusion='concatt' is not one of concat"):
        FusedEncoder(gym.spaces.Dict({"vector": Vector(2)}), fusion="concatt")


def test_a_space_without_an_encoder_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="has no encoder: the kinds with one are Image"):
        FusedEncoder(gym.spaces.Dict({"bits": gym.spaces.MultiBinary(3)}))
