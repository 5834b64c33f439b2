"""Attention maps: rows are distributions, and equal what the layers compute."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from agents.decoders import DECODERS
from agents.decoders.decoder import TokenAttention
from agents.explaining import attention_of
from agents.explaining.attention import ANSWER
from agents.explaining.attribution import without
from agents.explaining.values import greedy
from agents.fusion import FUSIONS
from agents.policy import ResponsePolicy
from mm_envs.tasks import make_task
from mm_envs.tasks.task import Task

LAYERS = {
    "concat": (),
    "attention": ("queries",),
    "word_patch": (),
    "cross_attention": ("layer 1", "layer 2"),
}


def context_of(task: Task, n: int = 3) -> dict[str, Tensor]:
    fields = task.batch(torch.arange(n), tuple(task.context.values()))
    return {key: fields[name] for key, name in task.context.items()}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_query_shares_out_one(fusion: str) -> None:
    task = make_task("vqa", items=64, sound="complement")
    policy = ResponsePolicy(task, features=16, hidden=16, fusion=fusion)
    context = context_of(task)
    maps = attention_of(policy, context, spaces=task.context_spaces)
    for layer in LAYERS.get(fusion, ()):
        mass = torch.stack([one.mass for one in maps if one.layer == layer]).sum(0)
        assert torch.allclose(mass, torch.ones_like(mass), atol=1e-5)
    missing = attention_of(policy, without(context, ["audio"]), spaces=task.context_spaces)
    assert all(float(one.mass.max()) == 0 for one in missing if one.entry == "audio")
    shapes = {one.entry: one.shape for one in maps if one.shape}
    if fusion in ("attention", "word_patch", "cross_attention"):
        bands, moments = shapes.pop("audio")
        assert bands * moments == policy.context_encoder.fused.encoders["audio"].count
        assert shapes == {"image": (8, 8)}
    else:
        assert not shapes


def test_words_are_named() -> None:
    task = make_task("vqa", items=64)
    policy = ResponsePolicy(task, features=16, hidden=16, fusion="word_patch")
    context = context_of(task)
    named = attention_of(policy, context, spaces=task.context_spaces)[0]
    for row, words in enumerate(named.query_words):
        text = task.context_spaces["question"].vocabulary.decode(context["question"][row])
        assert " ".join(words).split() == text.split()
    assert attention_of(policy, context)[0].query_words[0][0].isdigit()
    assert named.token_words[0][:2] == ("1,1", "1,2")


def test_word_patch_looks_at_each_entry_by_itself() -> None:
    task = make_task("vqa", items=64, sound="complement")
    policy = ResponsePolicy(task, features=16, hidden=16, fusion="word_patch")
    context, fused = context_of(task), policy.context_encoder.fused
    maps = attention_of(policy, context)
    expected = fused.fuse.attention(fused.encoded(context))
    assert [(one.queries, one.entry) for one in maps] == list(expected)
    for one in maps:
        assert torch.equal(one.weights, expected[one.queries, one.entry])
        assert torch.allclose(one.mass, torch.ones_like(one.mass), atol=1e-5)


@pytest.mark.parametrize("decoder", DECODERS)
def test_words_of_an_answer_attend_to_the_context(decoder: str) -> None:
    task = make_task("caption", items=64, sound="complement")
    policy = ResponsePolicy(task, features=16, hidden=16, decoder=decoder)
    context = context_of(task)
    response, length = greedy(policy, context)
    assert length is not None
    maps = attention_of(policy, context, response, task.context_spaces)
    assert {one.queries for one in maps} == {ANSWER}
    assert {one.entry for one in maps} == {"image", "audio"}
    written = policy.head.kind.written(length, response.shape[1])
    for layer in {one.layer for one in maps}:
        mass = torch.stack([one.mass for one in maps if one.layer == layer]).sum(0)
        assert torch.allclose(mass, written.float(), atol=1e-5)
    assert not any(module._forward_pre_hooks for module in policy.modules())
    assert attention_of(policy, context) == []


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("answers", [1, 2])
def test_weights_are_those_of_the_layer(masked: bool, answers: int) -> None:
    torch.manual_seed(0)
    layer = TokenAttention(hidden=8, attended=6)
    tokens, states = torch.randn(3, 5, 6), torch.randn(3 * answers, 4, 8)
    mask = torch.rand(3, 5) < 0.6 if masked else None
    if mask is not None:
        mask[0] = False
    memory = layer.remember(_context(tokens, mask))
    _, value, _ = memory
    weights = layer.weights(states, memory)
    attended = weights @ value.repeat_interleave(answers, 0)
    expected = layer(states, memory)
    assert torch.allclose(layer.mix(attended.transpose(1, 2).flatten(2)), expected, atol=1e-6)


def _context(tokens: Tensor, mask: Tensor | None) -> object:
    from agents.context import Context

    return Context(torch.zeros(len(tokens), 8), tokens=tokens, mask=mask)


def test_a_policy_without_attention_has_no_maps() -> None:
    task = make_task("classify", dataset="digits")
    policy = ResponsePolicy(task, features=16, hidden=16)
    context: Mapping[str, Tensor] = context_of(task)
    assert attention_of(policy, context) == []
    assert isinstance(policy, nn.Module)
