"""What words need to look at the tokens of other entries: queries, a sharpness, and the word loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder
from mm_envs.tokenizers import is_padding

KEY, VALUE, NOWHERE = 48, 16, -10.0
"""Numbers per key and value, and the score of tokens that do not exist."""

_FIRST_SHARPNESS, _FIRST_BIAS, _FIRST_SCALE = 2.0, -3.0, 2.0


class Looking(nn.Module):
    """Queries of the words of a text, and the word loss that aligns keys of other tokens with them.

    Args:
        text: The encoder of the words.
    """

    def __init__(self, text: Encoder) -> None:
        super().__init__()
        self.query = nn.Linear(text.width, KEY)
        self.sharpness = nn.Parameter(torch.tensor(_FIRST_SHARPNESS).log())
        self.scale = nn.Parameter(torch.tensor(_FIRST_SCALE))
        self.bias = nn.Parameter(torch.full((text.vocabulary,), _FIRST_BIAS))

    def queries(self, words: Tensor) -> Tensor:
        """Queries (..., KEY) of words (..., width), scaled by the root of their number."""
        scaled: Tensor = self.query(words) * KEY**-0.5
        return scaled

    def word_loss(self, text: Encoded, keys: Tensor, there: Tensor | None) -> Tensor:
        """Which words m texts use, from keys (m, s, KEY) alone, (m,); see ``WordPatch.with_word_loss``.

        ``there`` (m, s) bool are the tokens that exist, None for all; the loss is 0 where there is none.
        Neighbouring texts may belong to one row of keys.
        """
        assert text.words is not None
        assert text.table is not None
        scores = keys @ self.queries(text.table).T
        if there is not None:
            scores = scores.masked_fill(~there[:, :, None], NOWHERE)
        words = text.words.reshape(len(scores), -1)
        used = torch.zeros((len(scores), len(text.table)), device=scores.device)
        used.scatter_add_(1, words, (~is_padding(words)).to(used.dtype))
        logits = self.scale * scores.amax(1) + self.bias
        loss = nn.functional.binary_cross_entropy_with_logits
        each = loss(logits, used.clamp(max=1), reduction="none").sum(1)
        return each if there is None else each * there.any(1)
