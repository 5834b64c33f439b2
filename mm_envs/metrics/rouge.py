"""ROUGE-L (Lin, "ROUGE: a package for automatic evaluation of summaries", 2004): two definitions, two names.

With the longest common subsequence s of an answer of h words and a reference of r: precision P = s / h and
recall R = s / r. ``rouge_l_google`` is their harmonic mean, the best over the references; ``rouge_l_coco``
takes the largest P and the largest R over the references and weighs recall more. Arguments are those of
``mm_envs.metrics.text.as_words``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mm_envs.metrics.ngrams import by_rows, without_padding
from mm_envs.metrics.text import References, Response, as_words
from mm_envs.tokenizers import is_padding, sizes

_BETA = 1.2
_LIMB = 32
_FULL = 2**_LIMB - 1
# Gathers the lowest bits of eight bytes in one byte.
_GATHER = 0x0102040810204080


def rouge_l_google(response: Response, references: References, *, tokenizer: str = "whitespace") -> Tensor:
    """ROUGE-L F1 = 2 P R / (P + R), (n,) float64 in [0, 1], as Google's rouge-score computes it.

    With ``tokenizer="alphanumeric"`` strings are split as by rouge-score without its stemmer.

    Example:
        >>> rouge_l_google(["a red dog sits"], [["the dog sits here", "a dog"]]).tolist()
        [0.6666666666666666]
    """
    return rouge_l_google_of_words(*as_words(response, references, tokenizer))


def rouge_l_google_of_words(words: Tensor, references: Tensor) -> Tensor:
    """``rouge_l_google`` of (n, L) and (n, R, M) int64 with words first and zeros behind them."""
    common = common_subsequence(words, references)
    total = sizes(words)[:, None] + sizes(references)
    return (2 * common.to(torch.float64) / total.clamp(min=1)).amax(1)


def rouge_l_coco(response: Response, references: References, *, tokenizer: str = "whitespace") -> Tensor:
    """ROUGE-L (1 + b^2) P R / (R + b^2 P), b = 1.2, (n,) float64 in [0, 1], as COCO's evaluation computes it.

    Example:
        >>> round(rouge_l_coco(["a red dog sits"], [["the dog sits here", "a dog"]]).item(), 4)
        0.7093
    """
    return rouge_l_coco_of_words(*as_words(response, references, tokenizer))


def rouge_l_coco_of_words(words: Tensor, references: Tensor) -> Tensor:
    """``rouge_l_coco`` of (n, L) and (n, R, M) int64 with words first and zeros behind them."""
    common = common_subsequence(words, references).to(torch.float64)
    precision = common.amax(1) / sizes(words).clamp(min=1)
    recall = (common / sizes(references).clamp(min=1)).amax(1)
    divisor = recall + _BETA**2 * precision
    return torch.where(divisor > 0, (1 + _BETA**2) * precision * recall / divisor, 0.0)


def common_subsequence(words: Tensor, references: Tensor) -> Tensor:
    """The length of the longest common subsequence of answers (n, L) and references (n, R, M), (n, R) int64.

    A row of the table of dynamic programming is kept as the bits where it grows, so that one addition gives
    the next row (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004); rows of more than 32 words
    take several numbers with a carry.

    Example:
        >>> common_subsequence(torch.tensor([[3, 4, 5]]), torch.tensor([[[5, 3, 5], [6, 4, 0]]])).tolist()
        [[2, 1]]
    """
    if not words.numel() or not references.numel():
        return words.new_zeros(references.shape[:2])
    return by_rows(_common, words, references)


def _common(words: Tensor, references: Tensor) -> Tensor:
    references = without_padding(references)
    matches = _matches(words, references)
    limbs = [torch.full_like(references[..., 0], _FULL) for _ in range(matches.shape[-1])]
    for step in range(words.shape[1]):
        carry: Tensor | int = 0
        for limb, row in enumerate(limbs):
            match = matches[:, step, :, limb]
            total = row + (row & match) + carry
            carry = total >> _LIMB
            limbs[limb] = total & _FULL | row & ~match
    return sum((_ones(~row & _FULL) for row in limbs), torch.zeros_like(references[..., 0]))


def _matches(words: Tensor, references: Tensor) -> Tensor:
    """For each word of an answer its positions in a reference as bits, 32 a number."""
    missing = -references.shape[-1] % _LIMB
    padded = torch.nn.functional.pad(
        references.masked_fill(is_padding(references), -1), (0, missing), value=-1
    )
    eights = (words[:, :, None, None] == padded[:, None]).view(torch.int64)
    octets = (eights * _GATHER >> 56) & 0xFF
    octets = octets.view(*octets.shape[:-1], -1, _LIMB // 8)
    packed: Tensor = octets[..., 0] | octets[..., 1] << 8 | octets[..., 2] << 16 | octets[..., 3] << 24
    return packed


def _ones(limbs: Tensor) -> Tensor:
    """How many of 32 bits are set, by sums of neighbours (Warren, "Hacker's Delight", section 5-1)."""
    limbs = limbs - (limbs >> 1 & 0x55555555)
    limbs = (limbs & 0x33333333) + (limbs >> 2 & 0x33333333)
    limbs = limbs + (limbs >> 4) & 0x0F0F0F0F
    ones: Tensor = (limbs * 0x01010101 & _FULL) >> 24
    return ones
