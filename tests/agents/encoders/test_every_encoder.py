"""Properties of every encoder of the table, by space and name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from linear_inputs import not_contiguous
from torch import Tensor, nn

from agents.encoders import ENCODERS, Encoder, PooledEncoder, encoders_of, make_encoder
from mm_envs.spaces import Audio, Candidates, Count, Image, Tokens, Vector, Video
from mm_envs.tokenizers import Vocabulary

WORDS = Vocabulary.of(["red", "green", "blue", "yellow"])
SPACES: dict[str, gym.Space[Any]] = {
    "image": Image(64, 64),
    "grey": Image(40, 36, channels=1),
    "video": Video(4, 36, 36),
    "audio": Audio(3000, 8000),
    "long_audio": Audio(20_000, 8000),
    "tokens": Tokens(6, WORDS),
    "vector": Vector(3),
    "count": Count(6),
    "choice": gym.spaces.Discrete(4),
}
# One model of each family.
BACKBONES = {"resnet18": {}, "convnext_tiny": {}, "mobilenet_v3_small": {}, "vit_tiny_32": {"size": 64}}
CASES = [
    *(("image", kind) for kind in ("patches", *BACKBONES)),
    ("grey", "patches"),
    *((key, kind) for key in SPACES if key not in ("image", "grey") for kind in encoders_of(SPACES[key])),
]
SMALL = [case for case in CASES if case[1] not in BACKBONES]
LENGTHS = {"video": 2, "audio": 1500, "long_audio": 9000, "tokens": 2, "vector": 1}
IN_TIME = [case for case in CASES if case[0] in ("video", "audio", "long_audio", "tokens")]


def arguments(kind: str) -> Mapping[str, Any]:
    return BACKBONES.get(kind, {})


def made(key: str, kind: str) -> Encoder:
    torch.manual_seed(0)
    return make_encoder(SPACES[key], kind, **arguments(kind))


def batch(key: str, n: int) -> Tensor:
    if key == "tokens":
        rows = [[3, 4, 5, 0, 0, 0], [5, 4, 3, 6, 0, 0], [6, 0, 5, 3, 0, 0], [3, 3, 3, 4, 5, 6]]
        return torch.tensor(rows)[:n]
    SPACES[key].seed(0)
    return torch.from_numpy(np.stack([np.asarray(SPACES[key].sample()) for _ in range(n)]))


def test_every_kind_of_space_is_tested() -> None:
    tested = {id(encoders_of(space)) for space in SPACES.values()}
    # A Vector is a Box.
    assert tested == {id(kinds) for kinds in ENCODERS.values()}


@contextmanager
def watched() -> Iterator[list[str]]:
    """``not_contiguous`` for encoders that may have no linear layer, which it refuses."""
    with not_contiguous() as found:
        nn.functional.linear(torch.zeros(1, 1), torch.zeros(1, 1))
        yield found


@pytest.mark.parametrize(("key", "kind"), CASES)
def test_shapes_rows_positions_and_gradients(key: str, kind: str) -> None:
    encoder, entries = made(key, kind), batch(key, 4)
    with watched() as found:
        encoded = encoder(entries)
    assert not found
    assert encoded.tokens.shape == (4, encoder.count, encoder.width)
    assert encoded.tokens.dtype == torch.float32
    assert encoded.tokens.is_contiguous()
    assert encoded.tokens.isfinite().all()
    assert encoded.tokens.std(dim=0).max() > 1e-3
    assert encoded.mask is None or encoded.mask.shape == (4, encoder.count)
    assert encoded.positions is encoder.positions
    if encoder.positions is not None:
        assert len(encoder.positions.unique(dim=0)) == encoder.count
        assert encoder.positions.abs().max() <= 1
    for rows in ([2], [3, 0]):
        alone = encoder(entries[rows]).tokens
        torch.testing.assert_close(alone, encoded.tokens[rows], atol=1e-4, rtol=1e-4)
    # A target that is not symmetric: the squares of layer norm always have the same sum.
    target = torch.linspace(-1, 1, encoded.tokens.numel()).view_as(encoded.tokens)
    (encoded.tokens * target).sum().backward()
    missing = [name for name, one in encoder.named_parameters() if one.grad is None or not one.grad.any()]
    assert not missing


@pytest.mark.parametrize(("key", "kind"), CASES)
def test_blocks_hold_parameters_in_order(key: str, kind: str) -> None:
    encoder = made(key, kind)
    blocks = encoder.blocks()
    inside = [id(one) for block in blocks for one in block.parameters()]
    everything = [id(one) for one in encoder.parameters()]
    assert len(inside) == len(set(inside))
    assert set(inside) == set(everything)


@pytest.mark.parametrize(("key", "kind"), CASES)
def test_weights_are_saved_and_loaded(key: str, kind: str) -> None:
    encoder, entries = made(key, kind).eval(), batch(key, 2)
    torch.manual_seed(1)
    others = {"seed": 1} if kind in BACKBONES else {}
    other = make_encoder(SPACES[key], kind, **arguments(kind), **others).eval()
    before = other(entries).tokens
    other.load_state_dict(encoder.state_dict())
    wanted = encoder(entries).tokens
    assert torch.equal(other(entries).tokens, wanted)
    assert not torch.equal(before, wanted)


@pytest.mark.parametrize(("key", "kind"), [case for case in SMALL if case[0] in LENGTHS])
def test_what_lies_beyond_the_length_is_not_seen(key: str, kind: str) -> None:
    encoder, entries = made(key, kind), batch(key, 3)
    lengths = torch.full((3, 1), LENGTHS[key])
    other = entries.clone()
    other[:, LENGTHS[key] :] = entries[:, LENGTHS[key] :].flip(0)
    seen, same = encoder(entries, lengths), encoder(other, lengths)
    assert torch.equal(seen.tokens, same.tokens)
    assert (seen.mask is None) == (same.mask is None)
    if seen.mask is not None:
        assert torch.equal(seen.mask, same.mask)
        assert not seen.tokens[~seen.mask].any()
    assert encoder(entries, torch.zeros(3, 1, dtype=torch.int64)).tokens.isfinite().all()


@pytest.mark.parametrize(("key", "kind"), IN_TIME)
def test_a_reversed_entry_is_another_one(key: str, kind: str) -> None:
    torch.manual_seed(0)
    pooled = PooledEncoder(SPACES[key], 32, kind)
    entries = batch(key, 4)
    if key == "video":
        entries = entries // torch.tensor([1, 2, 4, 8])[:, None, None, None]
    elif key == "tokens":
        entries = entries[[0, 1, 3]]
    else:
        entries = entries * torch.linspace(0, 1, entries.shape[1])
    assert (pooled(entries) - pooled(entries.flip(1))).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize(
    ("key", "kind"),
    [*(case for case in SMALL if case[0] == "tokens"), ("image", "patches"), ("image", "resnet18")],
)
def test_candidates_in_another_order_have_the_same_tokens_in_that_order(key: str, kind: str) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(Candidates(SPACES[key], 4), kind)
    entries = batch(key, 4).expand(2, *([-1] * (1 + len(SPACES[key].shape))))
    order = torch.tensor([2, 0, 3, 1])
    encoded, other = encoder(entries), encoder(entries[:, order])
    torch.testing.assert_close(other.tokens, encoded.tokens[:, order], atol=1e-5, rtol=1e-4)
    assert encoded.positions is None
    existing = encoder(entries, torch.tensor([[3], [0]]))
    assert existing.mask is not None
    assert existing.mask.sum(1).tolist() == [3, 0]


def test_the_first_encoder_is_the_default() -> None:
    for space in SPACES.values():
        first, *_ = encoders_of(space)
        assert type(make_encoder(space)) is type(make_encoder(space, first))


def test_unknown_names_and_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="kind='rnn' is not one of embedding, gru, transformer"):
        make_encoder(SPACES["tokens"], "rnn")
    with pytest.raises(ValueError, match="kind='rnn' is not one of embedding, gru, transformer"):
        make_encoder(Candidates(SPACES["tokens"], 2), "rnn")
    with pytest.raises(ValueError, match=r"encoder 'gru' has no argument 'widht' \(did you mean width\?\)"):
        make_encoder(SPACES["tokens"], "gru", widht=3)
    with pytest.raises(ValueError, match="encoder 'patches' has no argument 'size': it takes none"):
        make_encoder(Candidates(Image(36, 36), 2), "patches", size=3)
    with pytest.raises(ValueError, match="has no encoder: the kinds with one are Image"):
        make_encoder(gym.spaces.MultiBinary(3))


def test_arguments_reach_the_encoder() -> None:
    assert make_encoder(SPACES["tokens"], "transformer", width=16, layers=3, heads=2).width == 16
    assert len(make_encoder(SPACES["tokens"], "transformer", layers=3).blocks()) == 4
    each = make_encoder(Candidates(SPACES["tokens"], 2), "gru", width=8)
    assert each.single.encoder.width == 8
