"""Word-patch attention: every word looks at every position of a picture or a sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder
from agents.fusion.concat import Pools
from agents.fusion.fusion import Attended, Entries, Fusion, TokenEmbedding, head_layers, masked_softmax
from agents.fusion.looking import KEY, NOWHERE, VALUE, Looking
from mm_envs.tokenizers import blank

_WORD, _MAX_AXES, _FOUND = 64, 2, 4


class WordPatch(Fusion):
    """Words attend to the positions of each other entry, and what they find is combined without detours.

    Word i of a text has a query ``q_i = W w_i`` for each picture, sound or clip, whose positions j have keys
    k_j and values v_j at coordinates x_j. With ``s_ij = q_i . k_j / sqrt(e)`` the word keeps

    - what it attends to, ``sum_j softmax_j(t s_ij) [k_j, v_j, x_j]``,
    - the maximum of s_ij in each region (four quadrants, or two halves of time), as they are and sorted: is
      it there, where, and how many,
    - ``S_il``, how much of the query of word l is where word i looks, and ``S_li``.

    A linear layer makes 64 numbers of the word and its findings. All words are mixed as ``[a * b, ReLU(c)]``
    of a linear layer. A vector of the whole text times what every word attends to, an outer product, is
    mapped linearly: relations and comparisons are linear in it, so that no plateau has to be left. And each
    word adds itself to the result by a gate, so that a word of the question can be the answer.

    The attention of words to positions is that of Kim et al., "ViLT" (2021, arXiv 2102.03334), and the word
    loss a weakly supervised detection of words as in Fang et al. (2015, arXiv 1411.4952). Without words, or
    with words alone, observations are fused as by concatenation.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        texts = {key: one for key, one in encoders.items() if one.vocabulary}
        others = {key: one for key, one in encoders.items() if not one.vocabulary}
        located = {key: one for key, one in others.items() if one.positions is not None and one.count > 1}
        looking = bool(texts and located)
        # Entries that are neither words nor have positions are concatenated.
        rest = {key: one for key, one in encoders.items() if not looking or key not in {**texts, **located}}
        self.pools = Pools(rest, width) if rest else None
        readers = {key: Reader(one, located, features) for key, one in texts.items() if looking}
        self.readers = nn.ModuleDict(readers)
        inputs = len(rest) * width + len(readers) * (2 * features + _related(features))
        # Products of findings need a norm before the layer; without them it is that of concatenation.
        first = [nn.LayerNorm(inputs), nn.Linear(inputs, features), nn.ReLU()]
        self.net = nn.Sequential(*first) if looking else head_layers(inputs, features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        return self.with_word_loss(entries, wanted=False)[:3]

    def with_word_loss(
        self, entries: Entries, wanted: bool = True
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """``forward``, and the word loss (n,): which words a text uses, from the positions alone.

        Binary cross-entropy over the words of the vocabulary of ``c max_j s_vj + b_v``, summed over words and
        entries. No label is needed.
        """
        parts, named, losses = [], torch.zeros(()), []
        for key, reader in self.readers.items():
            assert isinstance(reader, Reader)
            text = _existing(entries[key])
            read = reader(text, entries)
            parts.append(read.mixed)
            named = named.to(read.named) + read.named
            if wanted:
                losses += reader.word_losses(text, read.keys, entries)
        if self.pools is not None:
            pools: dict[str, Tensor] = self.pools(entries)
            parts += pools.values()
        pooled = self.net(torch.cat(parts, 1)) + named
        tokens, mask = (None, None) if self.embed is None else self.embed(entries)
        return pooled, tokens, mask, torch.stack(losses).sum(0) if losses else None

    def attention(self, entries: Entries) -> dict[tuple[str, str], Tensor]:
        """The attention of the words of each text to the positions of each entry, (n, words, positions)."""
        found = {}
        for key, reader in self.readers.items():
            assert isinstance(reader, Reader)
            for entry, look in reader.looks.items():
                assert isinstance(look, Look)
                found[key, entry] = look(entries[key].tokens, entries[entry]).weights
        return found

    def attention_layers(self, entries: Entries) -> list[Attended]:
        """The weights of each word over the positions of each entry."""
        return [
            Attended("word", text, (entry,), weights)
            for (text, entry), weights in self.attention(entries).items()
        ]


def _related(features: int) -> int:
    """Numbers of the products of text and findings."""
    return _least(features // 2)


def _least(width: int) -> int:
    return max(4, width)


class Read(NamedTuple):
    """What a text finds: mixed (n, ...), named (n, features), and the keys of positions by entry."""

    mixed: Tensor
    named: Tensor
    keys: dict[str, Tensor]


class Reader(nn.Module):
    """The words of one text look at the positions of every entry."""

    offset: Tensor

    def __init__(self, text: Encoder, located: Mapping[str, Encoder], features: int) -> None:
        super().__init__()
        looks = {key: Look(text, one) for key, one in located.items()}
        self.looks = nn.ModuleDict(looks)
        found = sum(one.found + 2 * text.count for one in looks.values())
        self.word = nn.Linear(text.width + found, _WORD)
        self.index = nn.Parameter(torch.randn(text.count, _WORD) * 0.3)
        self.mixer = nn.Linear(text.count * _WORD, 3 * features)
        self.register_buffer("offset", torch.arange(text.count) * text.vocabulary, persistent=False)
        # Products have by far the most weights: their width follows that of the result.
        each, product = _least(features // 4), _related(features)
        self.text = nn.Embedding(text.count * text.vocabulary, each)
        nn.init.normal_(self.text.weight, std=text.count**-0.5)
        related = each * text.count * sum(_FOUND + one.axes for one in looks.values())
        self.relate = nn.Sequential(nn.Linear(related, product), nn.LayerNorm(product))
        self.gate, self.name = nn.Linear(_WORD, text.width), nn.Linear(text.width, features, bias=False)

    def forward(self, text: Encoded, entries: Entries) -> Read:
        """What the words of n texts find."""
        assert text.words is not None
        about, short, keys = [text.tokens], [], {}
        for key, look in self.looks.items():
            seen = look(text.tokens, entries[key])
            about += seen.found
            short.append(seen.short)
            keys[key] = seen.keys
        each = torch.relu(self.word(torch.cat(about, 2)) + self.index)
        a, b, c = self.mixer(each.flatten(1)).chunk(3, 1)
        whole = self.text(text.words + self.offset).sum(1)
        product = whole[:, :, None] * torch.cat(short, 2).flatten(1)[:, None]
        mixed = torch.cat([a * b, torch.relu(c), self.relate(product.flatten(1))], 1)
        return Read(mixed, self.name((self.gate(each) * text.tokens).sum(1)), keys)

    def word_losses(self, text: Encoded, keys: Mapping[str, Tensor], entries: Entries) -> list[Tensor]:
        """The word loss (n,) of each entry."""
        losses = []
        for key, look in self.looks.items():
            assert isinstance(look, Look)
            losses.append(look.word_loss(text, keys[key], entries[key].there))
        return losses


class Seen(NamedTuple):
    """What words see in one entry: findings (n, words, ...), a short form, keys, and attention weights."""

    found: list[Tensor]
    short: Tensor
    keys: Tensor
    weights: Tensor


class Look(Looking):
    """The words of a text look at the positions of one entry."""

    positions: Tensor

    def __init__(self, text: Encoder, entry: Encoder) -> None:
        super().__init__(text)
        assert entry.positions is not None
        positions = 2 * entry.positions[:, :_MAX_AXES]
        self.register_buffer("positions", positions, persistent=False)
        self.axes = positions.shape[1]
        self.found = KEY + VALUE + self.axes + 2 * 2**self.axes
        # The names of layers are in the files of saved policies.
        self.places = nn.Linear(entry.width, KEY + VALUE)
        self.short = nn.Linear(KEY + VALUE, _FOUND)

    def forward(self, words: Tensor, entry: Encoded) -> Seen:
        """What words (n, words, width) see."""
        made = self.places(entry.tokens)
        keys, there = made[:, :, :KEY], entry.there
        queries = self.queries(words)
        scores = queries @ keys.transpose(1, 2)
        mask = None if there is None else there[:, None]
        weights = masked_softmax(scores * self.sharpness.exp(), mask, 2)
        attended, where = weights @ made, weights @ self.positions
        scores = scores if mask is None else scores.masked_fill(~mask, NOWHERE)
        most = torch.stack([_most(scores, region) for region in self._regions()], 2)
        shared = attended[:, :, :KEY] @ queries.transpose(1, 2)
        ordered = most.sort(2, descending=True).values
        found = [attended, where, most, ordered, shared, shared.transpose(1, 2)]
        return Seen(found, torch.cat([self.short(attended), where], 2), keys, weights)

    def _regions(self) -> Tensor:
        """The positions of each region, by the signs of their positions, (regions, positions) bool."""
        powers = 2 ** torch.arange(self.axes, device=self.positions.device)
        region = ((self.positions > 0).to(torch.int64) * powers).sum(1)
        return region == torch.arange(2**self.axes, device=region.device)[:, None]


def _existing(text: Encoded) -> Encoded:
    """A text without words where it does not exist."""
    if text.present is None:
        return text
    assert text.words is not None
    present = text.present[:, None]
    words = torch.where(present, text.words, blank(text.words.shape, text.words.device))
    return replace(text.masked(present), words=words)


def _most(scores: Tensor, region: Tensor) -> Tensor:
    """The largest score (n, words) in a region of positions, (positions,) bool."""
    # Masks instead of indices: nothing waits for the device, and graphs of fixed shapes can be exported.
    most = scores.masked_fill(~region, -torch.inf).amax(2)
    return torch.where(region.any(), most, NOWHERE)
