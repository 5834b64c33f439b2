"""Encoders of texts: padding of any number and at any index changes no word."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agents.encoders import encoders_of, make_encoder
from agents.encoders.attention import SelfAttention
from agents.encoders.gru import MaskedGRU
from mm_envs.spaces import Tokens
from mm_envs.tokenizers import Vocabulary

WORDS = Vocabulary.of(["red", "green", "blue", "yellow"])
KINDS = list(encoders_of(Tokens(4, WORDS)))
CONTEXTUAL = [kind for kind in KINDS if kind != "embedding"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [3, 5, 9])
def test_longer_spaces_give_the_same_tokens(kind: str, length: int) -> None:
    torch.manual_seed(0)
    short, long = make_encoder(Tokens(3, WORDS), kind), make_encoder(Tokens(length, WORDS), kind)
    long.load_state_dict(short.state_dict())
    words = torch.tensor([[3, 4, 5], [6, 3, 0], [0, 0, 0]])
    encoded = long(nn.functional.pad(words, (0, length - 3)))
    torch.testing.assert_close(encoded.tokens[:, :3], short(words).tokens, atol=1e-6, rtol=1e-5)
    assert not encoded.tokens[:, 3:].any()
    assert encoded.mask is not None
    assert encoded.mask.sum(1).tolist() == [3, 2, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_between_words_changes_none(kind: str) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(Tokens(6, WORDS), kind)
    together = encoder(torch.tensor([[3, 4, 5, 0, 0, 0]])).tokens[0]
    apart = encoder(torch.tensor([[0, 3, 0, 4, 0, 5]])).tokens[0]
    torch.testing.assert_close(apart[[1, 3, 5]], together[:3], atol=1e-6, rtol=1e-5)
    assert not apart[[0, 2, 4]].any()


@pytest.mark.parametrize("kind", CONTEXTUAL)
def test_every_word_sees_every_other_one(kind: str) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(Tokens(4, WORDS), kind)
    plain = encoder(torch.tensor([[3, 4, 5, 0]])).tokens[0, :3]
    for index in range(3):
        words = torch.tensor([[3, 4, 5, 0]])
        words[0, index] = 6
        changed = encoder(words).tokens[0, :3]
        assert ((changed - plain).abs().amax(1) > 1e-5).all()


def test_a_masked_gru_is_a_bidirectional_one_over_what_exists() -> None:
    torch.manual_seed(0)
    gru, entries = MaskedGRU(5, 12), torch.randn(4, 7, 5)
    plain = nn.GRU(5, 6, batch_first=True, bidirectional=True)
    plain.load_state_dict(
        gru.ahead.state_dict() | {f"{key}_reverse": one for key, one in gru.back.state_dict().items()}
    )
    torch.testing.assert_close(gru(entries), plain(entries)[0])
    mask = torch.rand(4, 7) < 0.6
    mask[3] = False
    made = gru(entries, mask)
    for row in range(4):
        if mask[row].any():
            torch.testing.assert_close(made[row][mask[row]], plain(entries[row][mask[row]][None])[0][0])
    assert not made[~mask].any()


def test_self_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    attention, tokens = SelfAttention(12, 3), torch.randn(2, 5, 12)
    plain = nn.MultiheadAttention(12, 3, batch_first=True)
    plain.load_state_dict(
        {
            "in_proj_weight": attention.projections.weight,
            "in_proj_bias": attention.projections.bias,
            "out_proj.weight": attention.output.weight,
            "out_proj.bias": attention.output.bias,
        }
    )
    keys = torch.tensor([[True, True, False, True, False], [False, True, True, True, True]])
    wanted, _ = plain(tokens, tokens, tokens, key_padding_mask=~keys)
    torch.testing.assert_close(attention(tokens, keys), wanted)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("gru", {"width": 5}, "width=5 is not an even number"),
        ("transformer", {"width": 7}, "width=7 is odd"),
        ("transformer", {"width": 10, "heads": 4}, "width=10 is not a multiple of heads=4"),
        ("transformer", {"layers": 0}, "layers=0 is below 1"),
        ("embedding", {"width": 0}, "width=0 is below 1"),
    ],
)
def test_widths_that_do_not_fit_are_refused(kind: str, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_encoder(Tokens(4, WORDS), kind, **arguments)
