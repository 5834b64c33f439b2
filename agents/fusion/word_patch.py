"""Word-patch attention: every word looks at every place of a picture or a sound."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder
from agents.fusion.concat import Pools
from agents.fusion.fusion import Entries, Fusion, TokenEmbedding, exists, head_layers
from mm_envs.tokenizers import is_padding

_KEY, _VALUE, _WORD, _HEADS = 48, 32, 96, 3
_COUNT_SCALE = 8.0
_FIRST_BIAS = -3.0


class WordPatch(Fusion):
    """Words attend to places, and a bilinear layer mixes what they found.

    With word embeddings ``w_i``, places ``p_j`` of all other entries, and one key per place and head,
    ``s_ij = exp(t) q_h(w_i) . k_h(p_j) / sqrt(e)``. The first head's query is the word alone, others see its
    neighbours. Word i keeps, for every head, the attended value and position
    ``sum_j softmax_j(s_ij) [v(p_j), position_j]``, the maximum ``max_j s_ij`` (is it there), and
    ``sum_j sigmoid(s_ij)`` (how many). Words with their indices are mixed as ``[a * b, ReLU(c)]`` of a linear
    layer. The attention of single words to places is that of Kim et al., "ViLT" (2021, arXiv 2102.03334), and
    the word loss a weakly supervised detection of words as in Fang et al. (2015, arXiv 1411.4952).

    Observations without words, or with words alone, are fused as by concatenation.
    """

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.texts = [key for key, one in encoders.items() if one.vocabulary]
        self.places = [key for key, one in encoders.items() if not one.vocabulary and one.ordered]
        pairs = self.texts and self.places
        # Entries that are neither words nor places are concatenated.
        alone = {} if pairs else encoders
        rest = {k: one for k, one in encoders.items() if pairs and k not in (*self.texts, *self.places)}
        self.pools = Pools({**alone, **rest}, width) if alone or rest else None
        self.looks = nn.ModuleDict()
        if pairs:
            seen = {key: encoders[key] for key in self.places}
            self.looks = nn.ModuleDict({key: Look(encoders[key], seen, features) for key in self.texts})
        parts = len(alone or rest) * width + len(self.looks) * features
        self.net = head_layers(parts, features)
        self.embed = TokenEmbedding(encoders, width) if tokens else None

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and embedded tokens."""
        parts = [look(entries[key], entries) for key, look in self.looks.items()]
        if self.pools is not None:
            pools: dict[str, Tensor] = self.pools(entries)
            parts += pools.values()
        pooled = self.net(torch.cat(parts, 1))
        return pooled, *((None, None) if self.embed is None else self.embed(entries))

    def word_loss(self, entries: Entries) -> Tensor | None:
        """Which words does the text use: from the places alone, without any label (n,).

        Binary cross-entropy over the words of the vocabulary of ``2 max_j s_vj + b_v``, summed.
        """
        if not self.looks:
            return None
        losses = []
        for key, look in self.looks.items():
            assert isinstance(look, Look)
            losses.append(look.word_loss(entries[key], entries))
        return torch.stack(losses).sum(0)


class Look(nn.Module):
    """The words of one text look at the places of other entries."""

    def __init__(self, text: Encoder, places: Mapping[str, Encoder], features: int) -> None:
        super().__init__()
        self.keys = nn.ModuleDict({k: nn.Linear(one.width, _HEADS * _KEY) for k, one in places.items()})
        self.values = nn.ModuleDict({k: nn.Linear(one.width, _VALUE) for k, one in places.items()})
        self.axes = max(_axes(one) for one in places.values())
        self.query = nn.Linear(text.width, _KEY)
        self.neighbours = nn.Conv1d(text.width, (_HEADS - 1) * _KEY, 3, padding=1)
        self.temperature = nn.Parameter(torch.zeros(()))
        found = _HEADS * (_VALUE + self.axes + 2)
        self.word = nn.Linear(text.width + found, _WORD)
        self.index = nn.Parameter(torch.randn(text.count, _WORD) * 0.3)
        self.mixer = nn.Linear(text.count * _WORD, 3 * features)
        self.net = head_layers(2 * features, features)
        self.bias = nn.Parameter(torch.full((text.vocabulary,), _FIRST_BIAS))

    def forward(self, text: Encoded, entries: Entries) -> Tensor:
        """What the words of n texts find, (n, features)."""
        n, count = text.tokens.shape[:2]
        places, values, there = self._places(entries)
        aside = self.neighbours(text.tokens.transpose(1, 2)).view(n, _HEADS - 1, _KEY, count)
        queries = torch.cat([self.query(text.tokens)[:, None], aside.transpose(2, 3)], 1)
        scores = queries @ places * self._scale()
        if there is not None:
            scores = scores.masked_fill(~there[:, None, None], torch.finfo(scores.dtype).min)
        attended = scores.softmax(3) @ values[:, None]
        most = scores.amax(3, keepdim=True).clamp(min=-50.0)
        number = scores.sigmoid().sum(3, keepdim=True) / _COUNT_SCALE
        found = torch.cat([attended, most, number], 3).permute(0, 2, 1, 3).flatten(2)
        words = torch.relu(self.word(torch.cat([text.tokens, found], 2)) + self.index)
        first, second, third = self.mixer(words.flatten(1)).chunk(3, 1)
        looked: Tensor = self.net(torch.cat([first * second, torch.relu(third)], 1))
        return looked

    def word_loss(self, text: Encoded, entries: Entries) -> Tensor:
        """See ``WordPatch.word_loss``."""
        assert text.words is not None
        assert text.table is not None
        places, _, there = self._places(entries)
        scores = self.query(text.table) @ places[:, 0] * self._scale()
        if there is not None:
            scores = scores.masked_fill(~there[:, None], -50.0)
        used = torch.zeros((len(places), len(text.table)), device=places.device)
        used.scatter_(1, text.words, (~is_padding(text.words)).to(used.dtype), reduce="add")
        logits = 2 * scores.amax(2) + self.bias
        loss = nn.functional.binary_cross_entropy_with_logits
        return loss(logits, used.clamp(max=1), reduction="none").sum(1)

    def _scale(self) -> Tensor:
        scale: Tensor = self.temperature.exp() * _KEY**-0.5
        return scale

    def _places(self, entries: Entries) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys (n, heads, key, places), values with positions (n, places, ...), and which there are."""
        keys, values, masks = [], [], []
        for name, make in self.keys.items():
            entry = entries[name]
            n, count = entry.tokens.shape[:2]
            keys.append(make(entry.tokens).view(n, count, _HEADS, _KEY))
            positions = entry.tokens.new_zeros(count, self.axes)
            if entry.positions is not None:
                positions[:, : entry.positions.shape[1]] = 2 * entry.positions
            values.append(torch.cat([self.values[name](entry.tokens), positions.expand(n, -1, -1)], 2))
            masks.append(None if entry.there is None else entry.there)
        there = None
        if any(mask is not None for mask in masks):
            there = torch.cat([exists(entries[name]) for name in self.keys], 1)
        return torch.cat(keys, 1).permute(0, 2, 3, 1), torch.cat(values, 1), there


def _axes(encoder: Encoder) -> int:
    return 0 if encoder.positions is None else int(encoder.positions.shape[1])
