"""Attention maps of policies and reward models: where words of a text or of an answer look in the context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.context import Context, ContextEncoder
from agents.decoders.decoder import Decoder, TokenAttention
from agents.explaining.tokens import Named, named_tokens, words_of
from agents.fusion.fusion import Attended
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from mm_envs.spaces import Tokens

ANSWER = "answer"


@dataclass(frozen=True)
class AttentionMap:
    """The attention weights of one layer over the tokens of one entry, for n contexts.

    Attention weights say what a layer averages, which need not be what decides the answer (Jain and Wallace,
    2019, arXiv 1902.10186).

    Attributes:
        layer: The name of the layer: "word", "queries", "layer 1", "decoder", "decoder 1", ...
        queries: What attends: an entry of the context, ``ANSWER``, or "" for learned queries.
        entry: The entry that is attended to.
        weights: (n, queries, tokens) float32, averaged over heads. Rows sum to 1 over all entries that a
            layer attends to at once, so their sum over this one is the mass that falls on it. Words of
            ``word_patch`` attend to each entry by itself.
        query_words: The names of the queries of each row.
        token_words: The names of the tokens of each row; "" where there are none.
        positions: Where each token is, (tokens, p) in -1 to 1, as ``Encoded.positions``; None without order.
        shape: The sides of the grid of tokens: (rows, columns) of a picture, (bands, moments) of a sound,
            (frames, rows, columns) of a clip; None for words and what has no order.
    """

    layer: str
    queries: str
    entry: str
    weights: Tensor
    query_words: tuple[tuple[str, ...], ...]
    token_words: tuple[tuple[str, ...], ...]
    positions: Tensor | None
    shape: tuple[int, ...] | None

    @property
    def mass(self) -> Tensor:
        """The share of the attention of each query that falls on this entry, (n, queries)."""
        return self.weights.sum(2)


@dataclass(frozen=True)
class Answer:
    """One answer in words to each of n contexts, and the decoder that it goes through.

    Attributes:
        decoder: Its words attend to the tokens of the context.
        response: (n, L) int64.
        there: Which words there are, (n, L) bool.
        vocabulary: The words of ids.
    """

    decoder: Decoder
    response: Tensor
    there: Tensor
    vocabulary: Sequence[str]


@torch.no_grad()
def attention_of(
    policy: ResponsePolicy,
    context: Mapping[str, Tensor],
    response: Tensor | None = None,
    spaces: Mapping[str, Any] | None = None,
) -> list[AttentionMap]:
    """The attention maps of a policy for n contexts, one for each layer and entry.

    Args:
        policy: The policy.
        context: Entries (n, ...).
        response: One answer in words to each context, (n, L), whose words attend to the tokens of the
            context; None leaves the decoder out.
        spaces: The spaces of the context (``Task.context_spaces``), for the names of words; None names them
            by their ids.

    Returns:
        Maps of the fusion, then those of the decoder; none where neither has attention.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("vqa", items=64)
        >>> policy = ResponsePolicy(task, features=16, hidden=16, fusion="word_patch")
        >>> context = task.batch(torch.arange(2), task.context)
        >>> maps = attention_of(policy, context, spaces=task.context_spaces)
        >>> [(one.layer, one.queries, one.entry, one.shape) for one in maps]
        [('word', 'question', 'image', (8, 8))]
    """
    head = policy.head
    if response is None or not isinstance(head, TextHead):
        return attention_in(policy.context_encoder, context, spaces)
    answer = Answer(head.decoder, response, head.there(response), head.kind.vocabulary.words)
    return attention_in(policy.context_encoder, context, spaces, answer)


@torch.no_grad()
def attention_in(
    encoder: ContextEncoder,
    context: Mapping[str, Tensor],
    spaces: Mapping[str, Any] | None = None,
    answer: Answer | None = None,
) -> list[AttentionMap]:
    """``attention_of`` the context encoder of any model, and of its decoder where there is an answer."""
    entries = encoder.fused.encoded(context)
    tokens = {key: named_tokens(entry, _vocabulary(spaces, key)) for key, entry in entries.items()}
    maps: list[AttentionMap] = []
    for attended in encoder.fused.fuse.attention_layers(entries):
        maps += _maps(attended, tokens)
    if answer is not None:
        for attended in _decoder_attention(answer, encoder(context), tuple(entries)):
            maps += _maps(attended, tokens, words_of(answer.response, answer.vocabulary))
    return maps


def _maps(
    attended: Attended, tokens: Mapping[str, Named], answer: tuple[tuple[str, ...], ...] = ()
) -> Iterator[AttentionMap]:
    """One map for each entry that is attended to."""
    n, queries, _ = attended.weights.shape
    if attended.queries is None:
        words = answer or (tuple(f"query {number}" for number in range(1, queries + 1)),) * n
    else:
        words = tokens[attended.queries].words
    source = ANSWER if answer else attended.queries or ""
    first = 0
    for key in attended.keys:
        one = tokens[key]
        weights = attended.weights[:, :, first : first + one.count]
        yield AttentionMap(attended.name, source, key, weights, words, one.words, one.positions, one.shape)
        first += one.count


def _decoder_attention(answer: Answer, context: Context, keys: tuple[str, ...]) -> list[Attended]:
    """The weights of the words of answers over the tokens of their contexts, layer by layer."""
    layers = [one for one in answer.decoder.modules() if isinstance(one, TokenAttention)]
    with _inputs_of(layers) as inputs:
        answer.decoder.hidden(context, answer.response)
    there = answer.there[:, :, None]
    found = []
    for number, (layer, (states, memory)) in enumerate(zip(layers, inputs, strict=True), 1):
        name = "decoder" if len(layers) == 1 else f"decoder {number}"
        weights = layer.weights(states, memory).mean(1) * there
        found.append(Attended(name, None, keys, weights))
    return found


@contextmanager
def _inputs_of(layers: list[TokenAttention]) -> Iterator[list[tuple[Any, ...]]]:
    """Collects what layers are called with, in the order of the calls."""
    inputs: list[tuple[Any, ...]] = []

    def keep(module: nn.Module, given: tuple[Any, ...]) -> None:
        inputs.append(given)

    handles = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _vocabulary(spaces: Mapping[str, Any] | None, key: str) -> tuple[str, ...] | None:
    space = None if spaces is None else spaces.get(key)
    return space.vocabulary.words if isinstance(space, Tokens) else None


__all__ = ["ANSWER", "Answer", "AttentionMap", "attention_in", "attention_of"]
