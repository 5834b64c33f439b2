"""What is trained: layers by their order, low-rank adapters, and how many parameters that is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from agents.encoders import Encoder, PooledEncoder, make_encoder
from agents.encoders.adapters import (
    LowRankLinear,
    merge_lora,
    parameter_counts,
    parameter_text,
    trainable,
)
from mm_envs.spaces import Audio, Candidates, Image, Tokens, Video
from mm_envs.tokenizers import Vocabulary

WORDS = Vocabulary.of(["red", "green", "blue"])
TEXT = Tokens(4, WORDS)
SENTENCES = torch.tensor([[3, 4, 5, 0], [5, 3, 0, 0]])
PICTURES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
VIT = {"size": 64}

WITH_LINEAR = [("transformer", TEXT, SENTENCES, {}), ("vit_tiny_32", Image(64, 64), PICTURES, VIT)]


def trained(module: nn.Module) -> set[str]:
    return {name for name, one in module.named_parameters() if one.requires_grad}


def step(encoder: Encoder, entries: Tensor) -> None:
    """One step of an optimizer over what is trained."""
    optimizer = torch.optim.Adam((one for one in encoder.parameters() if one.requires_grad), 1e-3)
    tokens = encoder(entries).tokens
    (tokens * torch.linspace(-1, 1, tokens.numel()).view_as(tokens)).sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("space", "kind", "blocks"),
    [
        (Image(64, 64), "patches", 3),
        (Image(64, 64), "resnet18", 9),
        (Video(3, 36, 36), "frames", 4),
        (Audio(2000, 8000), "cnn", 3),
        (Audio(2000, 8000), "gru", 2),
        (TEXT, "embedding", 1),
        (TEXT, "gru", 2),
        (TEXT, "transformer", 3),
    ],
)
def test_the_last_blocks_are_trained(space: Image, kind: str, blocks: int) -> None:
    encoder = make_encoder(space, kind)
    assert len(encoder.blocks()) == blocks
    trainable(encoder, "all")
    assert trained(encoder) == {name for name, _ in encoder.named_parameters()}
    before = 0
    for number in range(1, blocks + 1):
        trainable(encoder, f"last:{number}")
        expected = sum(one.numel() for block in encoder.blocks()[-number:] for one in block.parameters())
        assert before < parameter_counts(encoder)["trained"] == expected
        before = expected
    assert before == parameter_counts(encoder)["all"]
    trainable(encoder, "none")
    assert not trained(encoder)


def test_what_is_frozen_stays_as_it_is() -> None:
    encoder = make_encoder(Image(64, 64), "resnet18", batch_statistics=True)
    trainable(encoder, "last:2")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    step(encoder, PICTURES)
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("trunk.7.", "trunk.8.")) for name in changed)
    assert trained(encoder) <= changed


def test_candidates_share_the_blocks_of_one() -> None:
    encoder = make_encoder(Candidates(Image(36, 36), 3))
    assert [type(block).__name__ for block in encoder.blocks()] == [
        "PatchStem",
        "NormedConv",
        "NormedConv",
        "Flat",
    ]
    assert len(PooledEncoder(Image(36, 36), 8).blocks()) == 4


@pytest.mark.parametrize(("kind", "space", "entries", "arguments"), WITH_LINEAR)
def test_adapters_change_nothing_at_first_and_can_be_merged(
    kind: str, space: Image, entries: Tensor, arguments: dict[str, int]
) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(space, kind, **arguments)
    linear = [one for one in encoder.modules() if isinstance(one, nn.Linear)]
    plain, shapes = encoder(entries).tokens.detach(), {name for name, _ in encoder.named_parameters()}
    trainable(encoder, "lora:2")
    assert torch.equal(encoder(entries).tokens, plain)
    assert len(trained(encoder)) == 2 * len(linear)
    expected = sum(2 * (one.in_features + one.out_features) for one in linear)
    assert parameter_counts(encoder)["trained"] == expected
    base = {name: one.clone() for name, one in encoder.named_parameters() if not one.requires_grad}
    step(encoder, entries)
    step(encoder, entries)
    assert all(torch.equal(dict(encoder.named_parameters())[name], one) for name, one in base.items())
    missing = [name for name, one in encoder.named_parameters() if one.requires_grad and not one.grad.any()]
    assert not missing
    adapted = encoder(entries).tokens.detach()
    assert (adapted - plain).abs().max() > 1e-3
    merged = copy.deepcopy(encoder)
    merge_lora(merged)
    assert {name for name, _ in merged.named_parameters()} == shapes
    assert not any(isinstance(one, LowRankLinear) for one in merged.modules())
    torch.testing.assert_close(merged(entries).tokens, adapted, atol=1e-4, rtol=1e-4)


def test_adapters_are_saved_and_loaded() -> None:
    first, second = make_encoder(TEXT, "transformer"), make_encoder(TEXT, "transformer")
    trainable(first, "lora:3")
    step(first, SENTENCES)
    trainable(second, "lora:3", seed=1)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(SENTENCES).tokens, first(SENTENCES).tokens)


def test_adapters_depend_on_their_seed_alone() -> None:
    drawn = []
    for seed in (0, 0, 1):
        torch.rand(1)
        net = nn.Sequential(nn.Linear(6, 4))
        trainable(net, "lora:2", seed)
        drawn.append(net[0].down)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_layer_in_two_parents_stays_one() -> None:
    shared = nn.Linear(3, 3)
    net = nn.Sequential(nn.Sequential(shared), nn.Sequential(shared))
    trainable(net, "lora:1")
    assert net[0][0] is net[1][0]
    merge_lora(net)
    assert net[0][0] is net[1][0]
    assert type(net[0][0]) is nn.Linear


@pytest.mark.parametrize("how", ["some", "last", "last:x", "lora:-1", "all:2", ""])
def test_unknown_ways_are_refused(how: str) -> None:
    with pytest.raises(ValueError, match=f"how='{how}' is not one of all, none, last:K, lora:R"):
        trainable(make_encoder(TEXT), how)


def test_ways_that_do_not_suit_the_encoder_are_refused() -> None:
    for how in ("last:0", "last:4"):
        with pytest.raises(ValueError, match=f"how='{how}': ImageEncoder has 3 blocks: give 1 to 3"):
            trainable(make_encoder(Image(36, 36)), how)
    images = make_encoder(Image(36, 36))
    with pytest.raises(ValueError, match="how='lora:2': ImageEncoder contains no linear layer"):
        trainable(images, "lora:2")
    assert trained(images)
    with pytest.raises(ValueError, match="how='last:1': Sequential has no blocks"):
        trainable(nn.Sequential(nn.Linear(2, 2)), "last:1")
    with pytest.raises(ValueError, match="how='lora:0': the rank is below 1"):
        trainable(nn.Sequential(nn.Linear(2, 2)), "lora:0")
    text = make_encoder(TEXT, "transformer")
    trainable(text, "lora:2")
    with pytest.raises(ValueError, match="TransformerTokensEncoder has adapters: merge them"):
        trainable(text, "lora:2")


def test_parameter_counts_are_printed_in_one_line() -> None:
    encoders = {"image": make_encoder(Image(64, 64)), "text": make_encoder(TEXT)}
    trainable(encoders["image"], "last:1")
    text = parameter_text(encoders)
    assert text == "parameters trained: image 36,992 of 65,344, text 192 of 192"
