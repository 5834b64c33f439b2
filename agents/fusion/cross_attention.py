"""A small Transformer over the tokens of all entries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from torch import Tensor, nn

from agents.encoders.encoded import Encoder
from agents.fusion.fusion import Attended, Entries, Fusion, TokenEmbedding, head_layers, masked_softmax
from agents.fusion.pooling import mean_and_max

_LAYERS, _HEADS = 2, 4


class CrossAttention(Fusion):
    """Two pre-norm Transformer layers in which tokens of all modalities attend to each other.

    ``t = t + MHA(LayerNorm(t))``, ``t = t + MLP(LayerNorm(t))``, then
    ``f = ReLU(LayerNorm(W [mean t, max t]))``, over the tokens that there are. Attention is that of Vaswani
    et al. (2017, arXiv 1706.03762), with the norm first as in Xiong et al. (2020, arXiv 2002.04745); one
    stream for all modalities as in ViLT (Kim et al., 2021, arXiv 2102.03334).
    """

    embed: TokenEmbedding

    def __init__(self, encoders: Mapping[str, Encoder], width: int, features: int, tokens: bool) -> None:
        super().__init__(encoders, width, features, tokens)
        self.embed = TokenEmbedding(encoders, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(width)
        self.net = head_layers(2 * width, features)

    def forward(self, entries: Entries) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vectors (n, features), and the tokens of the last layer."""
        tokens, mask = self.embed(entries)
        for layer in self.layers:
            tokens = layer(tokens, mask)
        tokens = self.norm(tokens)
        pooled = self.net(mean_and_max(tokens, mask))
        return pooled, *((tokens, mask) if self.gives_tokens else (None, None))

    def attention_layers(self, entries: Entries) -> list[Attended]:
        """The weights of the words of each text over the tokens of all entries, averaged over heads."""
        (tokens, mask), found = self.embed(entries), []
        ends = list(accumulate(entries[key].tokens.shape[1] for key in self.keys))
        for number, layer in enumerate(self.layers, 1):
            assert isinstance(layer, Layer)
            weights = layer.weights(layer.before(tokens), mask)[0].mean(1)
            for key, end in zip(self.keys, ends, strict=True):
                if entries[key].words is not None:
                    rows = weights[:, end - entries[key].tokens.shape[1] : end]
                    found.append(Attended(f"layer {number}", key, self.keys, rows))
            tokens = layer(tokens, mask)
        return found


class Layer(nn.Module):
    """Attention among tokens, then a hidden layer, each added to its normed input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Widths that four heads do not divide get slightly wider heads.
        self.each = -(-width // _HEADS)
        inner = _HEADS * self.each
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, inner), nn.Linear(width, 2 * inner, bias=False)
        self.mix = nn.Linear(inner, width)
        self.net = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens (n, s, width) of which those of a mask (n, s) bool are attended to."""
        weights, value = self.weights(self.before(tokens), mask)
        tokens = tokens + self.mix((weights @ value).transpose(1, 2).flatten(2))
        changed: Tensor = tokens + self.net(self.after(tokens))
        return changed

    def weights(self, normed: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The attention weights (n, heads, s, s) of normed tokens, and the values."""
        query = self.query(normed).unflatten(2, (_HEADS, self.each)).transpose(1, 2)
        key, value = self.key_value(normed).unflatten(2, (2, _HEADS, self.each)).permute(2, 0, 3, 1, 4)
        # Not torch's fused attention: its result is not a number where a row has no token at all.
        scores = query @ key.transpose(2, 3) * self.each**-0.5
        return masked_softmax(scores, None if mask is None else mask[:, None, None], 3), value
