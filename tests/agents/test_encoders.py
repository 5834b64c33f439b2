"""Encoders and fusion: what they see, what they ignore, and that rows do not see each other."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from linear_inputs import not_contiguous
from torch import Tensor, nn

from agents.encoders import ENCODERS, Encoded, PooledEncoder, make_encoder
from agents.encoders.audio import LogMel, mel_filters
from agents.fusion import FUSIONS, Fused, FusedEncoder
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


# Lengths that entries of these spaces can have, and the largest.
SHORTER = {"audio": 700, "tokens": 2, "video": 2, "vector": 1, "candidates": 2, "texts": 3}


def batch(space: gym.Space, n: int) -> torch.Tensor:
    space.seed(0)
    return torch.from_numpy(np.stack([np.asarray(space.sample()) for _ in range(n)]))


def every_entry(n: int) -> tuple[gym.spaces.Dict, dict[str, Tensor]]:
    """An observation space with an entry of every kind, some of which have a length or may be absent."""
    lengths = {f"{key}_length": Count(SPACES[key].shape[0]) for key in SHORTER}
    space = gym.spaces.Dict({**SPACES, **lengths, "audio_present": Count(1), "texts_present": Count(1)})
    return space, {key: batch(part, n) for key, part in space.items()}


def changed_beyond(entries: Tensor, length: int) -> Tensor:
    """The same entries, with other values beyond a length."""
    other = entries.clone()
    other[:, length:] = entries[:, length:].flip(0).roll(1, -1)
    assert not torch.equal(other, entries)
    return other


def test_every_kind_of_the_table_is_tested() -> None:
    nearest = {next(kind for kind in type(one).__mro__ if kind in ENCODERS) for one in SPACES.values()}
    assert nearest == set(ENCODERS)


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


@pytest.mark.parametrize("key", SHORTER)
def test_what_lies_beyond_the_length_is_not_seen(key: str) -> None:
    encoder, entries = make_encoder(SPACES[key]), batch(SPACES[key], 3)
    lengths = torch.full((3, 1), SHORTER[key])
    other = changed_beyond(entries, SHORTER[key])
    seen, same = encoder(entries, lengths), encoder(other, lengths)
    assert torch.equal(seen.tokens, same.tokens)
    assert (seen.mask is None) == (same.mask is None)
    assert seen.mask is None or torch.equal(seen.mask, same.mask)
    assert not torch.equal(encoder(entries).tokens, encoder(other).tokens)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("key", SHORTER)
def test_no_fusion_sees_what_lies_beyond_the_length(key: str, fusion: str) -> None:
    torch.manual_seed(0)
    space = gym.spaces.Dict({key: SPACES[key], f"{key}_length": Count(SPACES[key].shape[0])})
    encoder, entries = FusedEncoder(space, features=8, fusion=fusion), batch(SPACES[key], 3)
    other = changed_beyond(entries, SHORTER[key])
    for length in (0, SHORTER[key]):
        lengths = torch.full((3, 1), length)
        # All of an entry of length 0 is beyond it.
        changed = other if length else entries.flip(0)
        seen = encoder({key: entries, f"{key}_length": lengths})
        assert seen.isfinite().all()
        assert torch.equal(seen, encoder({key: changed, f"{key}_length": lengths}))
    assert not torch.equal(encoder({key: entries}), encoder({key: other}))


def test_attention_to_no_token_at_all_gives_nothing() -> None:
    space = gym.spaces.Dict({"tokens": SPACES["tokens"], "tokens_present": Count(1)})
    encoder = FusedEncoder(space, features=8, fusion="attention")
    observation = {"tokens": torch.tensor([[3, 4, 5, 0, 0]] * 2), "tokens_present": torch.tensor([[0], [1]])}
    before = encoder(observation)
    with torch.no_grad():
        encoder.fuse.embed.kinds.add_(torch.randn_like(encoder.fuse.embed.kinds))
    changed = (encoder(observation) != before).any(1)
    assert changed.tolist() == [False, True]


@pytest.mark.parametrize(("key", "there"), [("tokens", 2), ("video", 2), ("candidates", 2), ("texts", 3)])
def test_tokens_beyond_the_length_do_not_exist(key: str, there: int) -> None:
    encoder = make_encoder(SPACES[key])
    entries = torch.clamp(batch(SPACES[key], 3), min=3 if key == "tokens" else 0)
    encoded = encoder(entries, torch.full((3, 1), there))
    assert encoded.mask is not None
    assert encoded.mask.float().mean() == there / SPACES[key].shape[0]
    assert not encoded.tokens[~encoded.mask].any()


def test_of_candidates_the_mean_is_taken_over_those_that_exist() -> None:
    space = SPACES["texts"]
    encoder, entries = PooledEncoder(space, 8), batch(space, 3)
    few = PooledEncoder(Candidates(space.single, 2), 8)
    few.load_state_dict(encoder.state_dict())
    assert torch.allclose(encoder(entries, torch.full((3, 1), 2)), few(entries[:, :2]), atol=1e-6)


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


def test_a_video_whose_frames_are_swapped_is_another_one_at_any_distance() -> None:
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


def test_positions_are_shared_and_survive_every_change_of_a_batch() -> None:
    space = gym.spaces.Dict({"image": SPACES["image"]})
    encoder = FusedEncoder(space, features=8, keep=("image",))
    fused = encoder.fused({"image": batch(SPACES["image"], 3)})
    positions = fused.entries["image"].positions
    assert positions is not None
    assert positions.abs().max() == 1
    for changed in (fused.take(torch.tensor([2, 0])), Fused.join([fused, fused])):
        assert changed.entries["image"].positions is positions
        assert len(changed.entries["image"].tokens) == len(changed.pooled)
    moved = fused.to("meta").entries["image"]
    assert isinstance(moved, Encoded)
    assert {one.device.type for one in (moved.tokens, moved.positions) if one is not None} == {"meta"}


@pytest.mark.parametrize(
    ("key", "axes"), [("image", (5, 5)), ("video", (3, 3, 3)), ("audio", (4,)), ("tokens", (5,))]
)
def test_positions_span_every_axis(key: str, axes: tuple[int, ...]) -> None:
    positions = make_encoder(SPACES[key]).positions
    assert positions is not None
    assert len(positions.unique(dim=0)) == len(positions)
    for axis, size in zip(positions.unbind(1), axes, strict=True):
        assert torch.allclose(axis.unique(), torch.linspace(-1, 1, size))


def test_positions_of_a_clip_are_row_column_and_moment() -> None:
    """A spot in one corner of the last frame changes the tokens of that corner at the end alone."""
    encoder = make_encoder(Video(5, 120, 120))
    clip = torch.zeros(2, 5, 3, 120, 120)
    clip[1, 4, :, :8, -8:] = 255.0
    tokens = encoder(clip).tokens
    changed = (tokens[0] != tokens[1]).any(1)
    assert encoder.positions is not None
    # The convolution over time brings neighbouring frames together.
    assert encoder.positions[changed].tolist() == [[-1.0, 1.0, 0.5], [-1.0, 1.0, 1.0]]


@pytest.mark.parametrize("key", SPACES)
def test_linear_layers_get_contiguous_tokens(key: str) -> None:
    assert make_encoder(SPACES[key])(batch(SPACES[key], 3)).tokens.is_contiguous()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_fusion_is_the_same_with_and_without_gradients(fusion: str) -> None:
    space, observation = every_entry(4)
    encoder = FusedEncoder(space, features=12, fusion=fusion)
    with not_contiguous() as found:
        wanted = encoder(observation)
        unwanted = encoder.requires_grad_(False)(observation)
    assert not found
    assert torch.equal(wanted, unwanted)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_weight_of_a_fusion_gets_a_gradient(fusion: str) -> None:
    space, observation = every_entry(8)
    encoder = FusedEncoder(space, features=16, fusion=fusion)
    fused, word_loss = encoder.with_word_loss(observation)
    loss = fused.pooled.square().sum() + (0 if word_loss is None else word_loss.sum())
    torch.autograd.backward(loss)
    missing = [name for name, one in encoder.named_parameters() if one.grad is None or not one.grad.any()]
    assert not missing


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_row_of_a_fusion_depends_on_that_row_alone(fusion: str) -> None:
    torch.manual_seed(0)
    space, observation = every_entry(6)
    encoder = FusedEncoder(space, features=12, fusion=fusion)
    features = encoder(observation)
    assert features.std(dim=0).max() > 1e-3
    for rows in ([4], [5, 0, 2]):
        alone = encoder({key: value[rows] for key, value in observation.items()})
        assert torch.allclose(alone, features[rows], atol=1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_kept_tokens_of_an_absent_entry_do_not_exist(fusion: str) -> None:
    space, observation = every_entry(4)
    observation["texts_present"] = torch.tensor([[1], [0], [1], [0]])
    observation["texts_length"] = torch.tensor([[5], [5], [5], [5]])
    encoder = FusedEncoder(space, features=8, fusion=fusion, keep=("texts", "image"))
    kept = encoder.fused(observation).entries
    assert kept["image"].mask is None
    mask = kept["texts"].mask
    assert mask is not None
    assert torch.equal(mask, torch.tensor([[True], [False], [True], [False]]).expand(-1, 5))
    assert not kept["texts"].tokens[1::2].any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusion_takes_every_entry_and_ignores_what_is_absent(fusion: str) -> None:
    torch.manual_seed(0)
    space, observation = every_entry(4)
    encoder = FusedEncoder(space, features=12, fusion=fusion)
    observation["audio_present"] = torch.tensor([[1], [0], [1], [0]])
    features = encoder(observation)
    assert features.shape == (4, 12)
    assert set(encoder.encoders) == set(SPACES)
    louder = encoder({**observation, "audio": observation["audio"].flip(0)})
    assert torch.equal(louder[1::2], features[1::2])
    # Attention to all entries at once sees little of each at first, yet more than rounding.
    assert (louder[::2] - features[::2]).abs().amax(1).min() > 1e-6


def test_an_unknown_fusion_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="fusion='concatt' is not one of concat"):
        FusedEncoder(gym.spaces.Dict({"vector": Vector(2)}), fusion="concatt")


def test_a_space_without_an_encoder_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="has no encoder: the kinds with one are Image"):
        FusedEncoder(gym.spaces.Dict({"bits": gym.spaces.MultiBinary(3)}))
