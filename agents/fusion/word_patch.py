"""Word-patch attention: every word looks at every place of a picture or a sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder
from agents.fusion.concat import Pools
from agents.fusion.fusion import Attended, Entries, Fusion, TokenEmbedding, exists, masked_softmax
from mm_envs.tokenizers import is_padding

_KEY, _VALUE, _WORD, _AXES, _REGIONS = 48, 16, 64, 2, 4
_TEXT, _FOUND, _RELATED = 32, 4, 64
_FIRST_SHARPNESS, _FIRST_BIAS, _FIRST_SCALE = 2.0, -3.0, 2.0
_NOWHERE = -10.0


class WordPatch(Fusion):
    """Words attend to places, and a bilinear layer mixes what they found.

    Word i has two queries: of the word alone, ``q_i = W w_i``, and of the word with its neighbours, ``r_i =
    a q_(i-1) + b q_i + c q_(i+1) + conv(w)_i``, which looks for "red circle". With the keys k_j of all places
    of pictures, sounds and clips, scores are ``s_ij = q_i . k_j / sqrt(e)``. For each query a word keeps the
    attended key, value and position ``sum_j softmax_j(t s_ij) [k_j, v_j, x_j]``, the maximum of s_ij in each
    of four regions (is it there, and where), and how many regions have it. What word l looks at is compared
    with the queries of all other words m: ``S_lm = attended key_l . q_m / sqrt(e)``. The words and their
    findings are mixed as ``[a * b, ReLU(c)]`` of a linear layer over all of them; a vector of the whole text
    times what every word found, an outer product, is mapped linearly, so that relations need no detour; and
    each word adds itself to the result by a gate, so that a word of the question can be the answer.

    The attention of words to places is that of Kim et al., "ViLT" (2021, arXiv 2102.03334), and the word loss
    a weakly supervised detection of words as in Fang et al. (2015, arXiv 1411.4952). Without words, or with
    words alone, observations are fused as by concatenation.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        texts = {key: one for key, one in encoders.items() if one.vocabulary}
        places = {
            key: one for key, one in encoders.items() if not one.vocabulary and one.positions is not None
        }
        looking = bool(texts and places)
        # Entries that are neither words nor places are concatenated.
        rest = {key: one for key, one in encoders.items() if not looking or key not in {**texts, **places}}
        self.pools = Pools(rest, width) if rest else None
        self.places = Places(places) if looking else None
        self.looks = nn.ModuleDict({key: Look(one, features) for key, one in texts.items() if looking})
        inputs = len(rest) * width + len(self.looks) * (2 * features + _RELATED)
        self.norm, self.net = nn.LayerNorm(inputs), nn.Linear(inputs, features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        return self.with_word_loss(entries, wanted=False)[:3]

    def with_word_loss(
        self, entries: Entries, wanted: bool = True
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """``forward``, and the word loss (n,): which words a text uses, from the places alone.

        Binary cross-entropy over the words of the vocabulary of ``c max_j s_vj + b_v``, summed. No label is
        needed.
        """
        parts, named, losses = [], torch.zeros(()), []
        seen = None if self.places is None else self.places(entries)
        for key, look in self.looks.items():
            assert isinstance(look, Look)
            assert seen is not None
            mixed, word = look(entries[key], seen)
            parts.append(mixed)
            named = named + word
            if wanted:
                losses.append(look.word_loss(entries[key], seen))
        if self.pools is not None:
            pools: dict[str, Tensor] = self.pools(entries)
            parts += pools.values()
        pooled = torch.relu(self.net(self.norm(torch.cat(parts, 1)))) + named
        tokens, mask = (None, None) if self.embed is None else self.embed(entries)
        return pooled, tokens, mask, torch.stack(losses).sum(0) if losses else None

    def attention(self, entries: Entries) -> list[Attended]:
        """The weights of each word over all places: of the word alone, and with its neighbours."""
        if self.places is None:
            return []
        seen, found = self.places(entries), []
        for key, look in self.looks.items():
            assert isinstance(look, Look)
            alone, both = look.attention(entries[key], seen).chunk(2, 1)
            keys = tuple(self.places.maps)
            found += [Attended("word", key, keys, alone), Attended("phrase", key, keys, both)]
        return found


class Seen(NamedTuple):
    """What all places show: keys (n, places, key), values and positions (n, places, ...), mask, regions."""

    keys: Tensor
    values: Tensor
    mask: Tensor | None
    regions: tuple[Tensor, ...]


class Places(nn.Module):
    """Keys and values of the places of several entries."""

    axes: Tensor

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        super().__init__()
        self.maps = nn.ModuleDict({key: nn.Linear(one.width, _KEY + _VALUE) for key, one in encoders.items()})
        positions = []
        for encoder in encoders.values():
            assert encoder.positions is not None
            axes = encoder.positions[:, :_AXES]
            positions.append(nn.functional.pad(axes, (0, _AXES - axes.shape[1])))
        self.register_buffer("axes", 2 * torch.cat(positions), persistent=False)

    def forward(self, entries: Entries) -> Seen:
        """What the places of n rows show."""
        made = torch.cat([make(entries[key].tokens) for key, make in self.maps.items()], 1)
        mask = None
        if any(entries[key].there is not None for key in self.maps):
            mask = torch.cat([exists(entries[key]) for key in self.maps], 1)
        values = torch.cat([made, self.axes.expand(len(made), -1, -1)], 2)
        region = 2 * (self.axes[:, 0] > 0) + (self.axes[:, 1] > 0)
        regions = tuple((region == one).nonzero()[:, 0] for one in range(_REGIONS))
        return Seen(made[:, :, :_KEY], values, mask, regions)


class Look(nn.Module):
    """The words of one text look at places."""

    offset: Tensor

    def __init__(self, text: Encoder, features: int) -> None:
        super().__init__()
        self.query = nn.Linear(text.width, _KEY)
        self.taps = nn.Parameter(torch.tensor([1.0, 1.0, 0.0]))
        self.around = nn.Conv1d(text.width, _KEY, 3, padding=1, bias=False)
        with torch.no_grad():
            self.around.weight.mul_(0.3)
        self.sharpness = nn.Parameter(torch.tensor(_FIRST_SHARPNESS).log())
        found = _KEY + _VALUE + _AXES + _REGIONS + 1
        self.word = nn.Linear(text.width + 2 * found + 3 * text.count, _WORD)
        self.index = nn.Parameter(torch.randn(text.count, _WORD) * 0.3)
        self.mixer = nn.Linear(text.count * _WORD, 3 * features)
        self.register_buffer("offset", torch.arange(text.count) * text.vocabulary, persistent=False)
        self.text = nn.Embedding(text.count * text.vocabulary, _TEXT)
        nn.init.normal_(self.text.weight, std=text.count**-0.5)
        self.short = nn.Linear(_KEY + _VALUE, _FOUND)
        related = _TEXT * text.count * (_FOUND + _AXES)
        self.relate = nn.Sequential(nn.Linear(related, _RELATED), nn.LayerNorm(_RELATED))
        self.gate, self.name = nn.Linear(_WORD, text.width), nn.Linear(text.width, features, bias=False)
        self.scale = nn.Parameter(torch.tensor(_FIRST_SCALE))
        self.bias = nn.Parameter(torch.full((text.vocabulary,), _FIRST_BIAS))

    def forward(self, text: Encoded, seen: Seen) -> tuple[Tensor, Tensor]:
        """What the words of n texts find, mixed, (n, 2 * features + 64), and named, (n, features)."""
        words, count = text.tokens, text.tokens.shape[1]
        queries = self._queries(words)
        scores = queries @ seen.keys.transpose(1, 2)
        mask = None if seen.mask is None else seen.mask[:, None]
        attended = self._weights(scores, mask) @ seen.values
        scores = scores if mask is None else scores.masked_fill(~mask, _NOWHERE)
        most = torch.stack([_most(scores, region) for region in seen.regions], 2)
        number = torch.sigmoid(4 * most - 2).sum(2, keepdim=True)
        found = torch.cat([attended, most, number], 2)
        shared = attended[:, :, :_KEY] @ queries[:, :count].transpose(1, 2)
        first, second = shared[:, :count], shared[:, count:]
        about = [words, found[:, :count], found[:, count:], first, second, first.transpose(1, 2)]
        each = torch.relu(self.word(torch.cat(about, 2)) + self.index)
        a, b, c = self.mixer(each.flatten(1)).chunk(3, 1)
        named: Tensor = self.name((self.gate(each) * words).sum(1))
        return torch.cat([a * b, torch.relu(c), self._related(text, attended[:, count:])], 1), named

    def attention(self, text: Encoded, seen: Seen) -> Tensor:
        """The weights of the words of n texts, alone and then with neighbours, (n, 2 * count, places)."""
        scores = self._queries(text.tokens) @ seen.keys.transpose(1, 2)
        return self._weights(scores, None if seen.mask is None else seen.mask[:, None])

    def _queries(self, words: Tensor) -> Tensor:
        alone = self.query(words)
        padded = nn.functional.pad(alone, (0, 0, 1, 1))
        both = self.taps[0] * padded[:, :-2] + self.taps[1] * alone + self.taps[2] * padded[:, 2:]
        both = both + self.around(words.transpose(1, 2)).transpose(1, 2)
        queries: Tensor = torch.cat([alone, both], 1) * _KEY**-0.5
        return queries

    def _weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        return masked_softmax(scores * self.sharpness.exp(), mask, 2)

    def _related(self, text: Encoded, attended: Tensor) -> Tensor:
        """A linear map of the product of a text with what its words attend to, (n, 64)."""
        assert text.words is not None
        whole = self.text(text.words + self.offset).sum(1)
        found, where = attended[:, :, : _KEY + _VALUE], attended[:, :, _KEY + _VALUE :]
        each = torch.cat([self.short(found), where], 2).flatten(1)
        related: Tensor = self.relate((whole[:, :, None] * each[:, None]).flatten(1))
        return related

    def word_loss(self, text: Encoded, seen: Seen) -> Tensor:
        """See ``WordPatch.with_word_loss``."""
        assert text.words is not None
        assert text.table is not None
        scores = seen.keys @ (self.query(text.table) * _KEY**-0.5).T
        if seen.mask is not None:
            scores = scores.masked_fill(~seen.mask[:, :, None], _NOWHERE)
        used = torch.zeros((len(scores), len(text.table)), device=scores.device)
        used.scatter_add_(1, text.words, (~is_padding(text.words)).to(used.dtype))
        logits = self.scale * scores.amax(1) + self.bias
        loss = nn.functional.binary_cross_entropy_with_logits
        return loss(logits, used.clamp(max=1), reduction="none").sum(1)


def _most(scores: Tensor, region: Tensor) -> Tensor:
    """The largest score (n, queries) in a region of places."""
    if not len(region):
        return torch.full_like(scores[:, :, 0], _NOWHERE)
    return scores[:, :, region].amax(2)
