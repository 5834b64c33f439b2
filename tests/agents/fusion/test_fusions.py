"""Every fusion: what is missing is masked, rows are independent, order counts where there is one."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from linear_inputs import not_contiguous
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.fusion import FUSIONS, FusedEncoder
from agents.fusion.graph import neighbours
from agents.fusion.pooling import condition_keys, masked_max
from agents.fusion.sequence import compacted, is_timed, moment_times
from mm_envs.spaces import Audio, Candidates, Image, Tokens, Vector, Video
from mm_envs.tokenizers import Vocabulary

WORDS = Vocabulary.of(["red", "green", "blue"])
SPACES = {
    "image": Image(36, 48),
    "audio": Audio(1200, 8000),
    "video": Video(3, 36, 36),
    "text": Tokens(5, WORDS),
    "vector": Vector(3),
    "choice": gym.spaces.Discrete(4),
    "several": Candidates(Tokens(3, WORDS), 4),
}
# Subsets of the entries that take other ways through fusions with two sides.
SUBSETS = (
    tuple(SPACES),
    ("image", "text"),
    ("image", "audio", "vector"),
    ("text", "vector"),
    ("image", "video"),
    ("audio",),
    ("several",),
    ("text",),
    ("vector", "choice"),
)


def observed(keys: tuple[str, ...], n: int = 6, seed: int = 0) -> dict[str, Tensor]:
    """n random observations; texts have 1 to 5 words."""
    found = {}
    for number, key in enumerate(keys):
        SPACES[key].seed(seed + number)
        found[key] = torch.from_numpy(np.stack([np.asarray(SPACES[key].sample()) for _ in range(n)]))
    if "text" in found:
        length = torch.arange(n)[:, None] % 5 + 1
        found["text"] = found["text"].clamp(min=3)
        found["text_length"] = length
    return found


def make(fusion: str, keys: tuple[str, ...], tokens: bool = False, features: int = 16) -> FusedEncoder:
    torch.manual_seed(0)
    space = gym.spaces.Dict({key: SPACES[key] for key in keys})
    return FusedEncoder(space, features, fusion, width=12, tokens=tokens)


@pytest.mark.parametrize("keys", SUBSETS, ids="+".join)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_shapes_of_vectors_tokens_and_masks(fusion: str, keys: tuple[str, ...]) -> None:
    encoder, observation = make(fusion, keys, tokens=True), observed(keys)
    with not_contiguous() as found:
        fused = encoder.fused(observation)
    assert not found
    assert fused.pooled.shape == (6, 16)
    assert fused.pooled.dtype == torch.float32
    assert fused.tokens is not None
    count = sum(one.count for one in encoder.encoders.values())
    assert len(fused.tokens) == 6
    assert fused.tokens.shape[1] >= count
    assert fused.tokens.shape[2] == 12
    assert fused.mask is None or fused.mask.shape == fused.tokens.shape[:2]
    assert fused.mask is None or fused.mask.dtype == torch.bool
    assert (fused.mask is None) <= ("text" not in keys)
    plain = make(fusion, keys).fused(observation)
    assert plain.tokens is None
    assert plain.mask is None


# Not texts with one vector: the attention to a single token is 1 whatever its weights.
@pytest.mark.parametrize(
    "keys", [*SUBSETS[:3], ("image", "video"), ("audio", "vector", "choice")], ids="+".join
)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradients_reach_every_weight(fusion: str, keys: tuple[str, ...]) -> None:
    encoder = make(fusion, keys, tokens=True, features=32)
    fused, word_loss = encoder.with_word_loss(observed(keys, 32))
    assert fused.tokens is not None
    auxiliary = 0 if word_loss is None else word_loss.sum()
    torch.autograd.backward(fused.pooled.square().sum() + fused.tokens.square().sum() + auxiliary)
    missing = [name for name, one in encoder.named_parameters() if one.grad is None or not one.grad.any()]
    assert not missing


@pytest.mark.parametrize("key", SPACES)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_content_of_a_missing_entry_changes_nothing(fusion: str, key: str) -> None:
    keys = tuple(SPACES)
    encoder, observation = make(fusion, keys, tokens=True), observed(keys)
    present = torch.tensor([[1], [0], [1], [0], [1], [0]])
    observation[f"{key}_present"] = present
    other = {**observation, key: observed(keys, seed=50)[key]}
    one, changed = encoder.fused(observation), encoder.fused(other)
    assert one.pooled.isfinite().all()
    assert torch.equal(one.pooled[1::2], changed.pooled[1::2])
    assert (one.pooled[::2] != changed.pooled[::2]).any()
    assert one.tokens is not None
    assert changed.tokens is not None
    assert one.mask is not None
    assert torch.equal(one.mask, changed.mask)
    there = one.mask[1::2]
    assert torch.equal(one.tokens[1::2][there], changed.tokens[1::2][there])
    # An absent entry differs from every present one, also from one of zeros (but for a text without words).
    least = torch.full_like(observation[key], 3 if key == "text" else 0)
    zeros = {**observation, key: least, f"{key}_present": torch.ones(6, 1)}
    assert (encoder(zeros)[1::2] != one.pooled[1::2]).any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_observation_without_any_entry_is_finite(fusion: str) -> None:
    keys = tuple(SPACES)
    encoder, observation = make(fusion, keys, tokens=True), observed(keys)
    observation.update({f"{key}_present": torch.zeros(6, 1) for key in keys})
    fused = encoder.fused(observation)
    assert fused.tokens is not None
    torch.autograd.backward(fused.pooled.sum() + fused.tokens.sum())
    assert fused.pooled.isfinite().all()
    assert (fused.pooled == fused.pooled[:1]).all()
    assert all(one.grad is None or one.grad.isfinite().all() for one in encoder.parameters())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_missing_entry_leaves_what_a_fusion_of_the_others_is_given(fusion: str) -> None:
    """Means, sums and attention are over what is there: two missing entries are as one, twice."""
    keys = ("image", "text", "vector")
    encoder, observation = make(fusion, keys), observed(keys)
    gone = {**observation, "image_present": torch.zeros(6, 1), "vector_present": torch.zeros(6, 1)}
    other = {**gone, "image": observation["image"].flip(0), "vector": observation["vector"].flip(0)}
    assert torch.equal(encoder(gone), encoder(other))
    assert (encoder(gone) - encoder(observation)).abs().amax(1).min() > 1e-4


@pytest.mark.parametrize("keys", SUBSETS, ids="+".join)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_rows_are_independent(fusion: str, keys: tuple[str, ...]) -> None:
    encoder, observation = make(fusion, keys, tokens=True), observed(keys)
    observation[f"{keys[0]}_present"] = torch.tensor([[1], [0], [1], [1], [0], [1]])
    whole = encoder.fused(observation)
    for rows in ([4], [5, 0, 2]):
        part = encoder.fused({key: value[rows] for key, value in observation.items()})
        assert torch.allclose(part.pooled, whole.pooled[rows], atol=1e-5)
        assert part.tokens is not None
        assert whole.tokens is not None
        there = torch.ones(part.tokens.shape[:2], dtype=torch.bool) if part.mask is None else part.mask
        assert torch.allclose(part.tokens[there], whole.tokens[rows][there], atol=1e-5)


@pytest.mark.parametrize("keys", [("text",), ("image", "text"), ("audio", "text", "several")], ids="+".join)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_padded_words_do_not_matter(fusion: str, keys: tuple[str, ...]) -> None:
    encoder, observation = make(fusion, keys, tokens=True), observed(keys)
    beyond = torch.arange(5) >= observation["text_length"]
    other = {**observation, "text": torch.where(beyond, observation["text"].flip(0), observation["text"])}
    padded = {"text": torch.where(beyond, 0, observation["text"])}
    without = {**{key: observation[key] for key in keys}, **padded}
    one = encoder.fused(observation)
    for changed in (encoder.fused(other), encoder.fused(without)):
        assert torch.equal(one.pooled, changed.pooled)
        assert one.mask is not None
        assert torch.equal(one.mask, changed.mask)


@pytest.mark.parametrize("keys", [("several",), ("several", "text"), ("image", "several")], ids="+".join)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_order_of_candidates_does_not_matter(fusion: str, keys: tuple[str, ...]) -> None:
    encoder, observation = make(fusion, keys), observed(keys)
    for length in (None, torch.full((6, 1), 3)):
        if length is not None:
            observation["several_length"] = length
        order = torch.tensor([2, 0, 1, 3])
        other = {**observation, "several": observation["several"][:, order]}
        assert torch.allclose(encoder(observation), encoder(other), atol=1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_reversed_clip_is_another_one(fusion: str) -> None:
    """In all fusions: pooled vectors have weights for each position, and tokens know theirs."""
    keys = ("video", "vector")
    encoder, observation = make(fusion, keys), observed(keys)
    observation["video"] = observation["video"] // torch.tensor([1, 2, 8])[:, None, None, None]
    other = {**observation, "video": observation["video"].flip(1)}
    assert (encoder(observation) - encoder(other)).abs().amax(1).min() > 1e-4


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_fusion_can_be_saved_and_loaded(fusion: str, tmp_path: Path) -> None:
    keys = tuple(SPACES)
    encoder, observation = make(fusion, keys, tokens=True), observed(keys)
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    space = gym.spaces.Dict({key: SPACES[key] for key in keys})
    torch.manual_seed(1)
    loaded = FusedEncoder(space, 16, fusion, width=12, tokens=True)
    assert not torch.equal(loaded(observation), encoder(observation))
    loaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(loaded(observation), encoder(observation))


def test_late_fusion_is_the_mean_of_single_modalities() -> None:
    keys = ("image", "text", "vector")
    encoder, observation = make("late", keys), observed(keys)
    alone = []
    for key in keys:
        missing = {f"{other}_present": torch.zeros(6, 1) for other in keys if other != key}
        alone.append(encoder({**observation, **missing}))
    assert torch.allclose(encoder(observation), torch.stack(alone).mean(0), atol=1e-6)
    both = encoder({**observation, "text_present": torch.zeros(6, 1)})
    assert torch.allclose(both, (alone[0] + alone[2]) / 2, atol=1e-6)


def test_weights_of_a_sum_are_over_what_is_there() -> None:
    keys = ("image", "text", "vector")
    encoder, observation = make("weighted_sum", keys), observed(keys)
    observation["text_present"] = torch.zeros(6, 1)
    before = encoder(observation)
    with torch.no_grad():
        encoder.fuse.weights[1] = 50.0
    assert torch.equal(encoder(observation), before)
    with torch.no_grad():
        encoder.fuse.weights[0] += 1.0
    assert not torch.allclose(encoder(observation), before)


def test_film_without_a_condition_is_a_plain_residual_network() -> None:
    encoder, observation = make("film", ("image", "text")), observed(("image", "text"))
    observation["text_present"] = torch.zeros(6, 1)
    before = encoder(observation)
    with torch.no_grad():
        for block in encoder.fuse.blocks:
            block.film.bias += 1.0
    assert torch.equal(encoder(observation), before)


def test_moments_are_sorted_and_padding_comes_last() -> None:
    encoder = make("sequence", ("text", "image", "video"))
    times = torch.cat([moment_times(encoder.encoders[key]) for key in encoder.fuse.moments])
    assert (times[encoder.fuse.order].diff() >= 0).all()
    assert {key for key, one in make("sequence", tuple(SPACES)).encoders.items() if is_timed(one)} == {
        "audio",
        "video",
        "text",
    }
    torch.manual_seed(0)
    there = torch.rand(20, 7) < 0.5
    vectors, mask = compacted(torch.arange(7.0)[None, :, None].expand(20, -1, 1), there)
    for row in range(20):
        assert mask[row].sum() == there[row].sum()
        assert torch.equal(vectors[row, mask[row], 0], there[row].nonzero()[:, 0].float())


def test_neighbours_of_a_grid_are_at_most_eight() -> None:
    encoder = make("graph", ("image",)).encoders["image"]
    near, (rows, columns) = neighbours(encoder), encoder.pictures.shape
    assert torch.equal(near, near.T)
    assert near.sum(1).max() == 8
    assert near[0].nonzero()[:, 0].tolist() == [1, columns, columns + 1]
    assert len(near) == rows * columns


def test_texts_and_single_tokens_are_conditions() -> None:
    encoders = dict(make("film", tuple(SPACES)).encoders.items())
    assert set(condition_keys(encoders)) == {"text", "vector", "choice"}


def test_a_maximum_over_nothing_is_zero() -> None:
    tokens = -torch.ones(2, 3, 4)
    mask = torch.tensor([[True, False, False], [False, False, False]])
    assert masked_max(tokens, mask).tolist() == [[-1.0] * 4, [0.0] * 4]
    assert torch.equal(masked_max(tokens, None), -torch.ones(2, 4))
