"""ROUGE-L (Lin, "ROUGE: a package for automatic evaluation of summaries", 2004): two definitions, two names.

With the longest common subsequence s of an answer of h words and a reference of r: precision P = s / h and
recall R = s / r. ``rouge_l_google`` is their harmonic mean, the best over the references; ``rouge_l_coco``
takes the largest P and the largest R over the references and weighs recall more. Arguments are those of
``mm_envs.metrics.text.as_words``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.arrays import Array, numpy_on_cpu
from mm_envs.metrics.ngrams import by_rows, compared, without_padding
from mm_envs.metrics.text import References, Response, as_words
from mm_envs.tokenizers import sizes

_BETA = 1.2


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

    Example:
        >>> common_subsequence(torch.tensor([[3, 4, 5]]), torch.tensor([[[5, 3, 5], [6, 4, 0]]])).tolist()
        [[2, 1]]
    """
    if not words.numel() or not references.numel():
        return words.new_zeros(references.shape[:2])
    return by_rows(_common, words, references)


@numpy_on_cpu
def _common(words: Array, references: Array) -> Array:
    others = compared(without_padding(references))
    return (_by_additions if isinstance(words, np.ndarray) else _by_maxima)(words, others)


def _by_additions(words: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row by row of the table of dynamic programming, each as the bits where it does not grow.

    One addition gives the next row (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004). The rows
    of all pairs are one whole number of Python, which has any number of bits: for batches of captions and for
    one pair of long texts this is the fastest of the ways that were measured. The last entry of a reference
    equals nothing; its bit takes the carry and is cleared.
    """
    initial = np.ones(others.shape, dtype=np.bool_)
    initial[..., -1] = False
    row = cleared = _packed(initial)
    for word in words.T:
        match = row & _packed(others == word[:, None, None])
        row = (row + match | row - match) & cleared
    octets = np.frombuffer(row.to_bytes(others.size // 8, "little"), dtype=np.uint8)
    ones = np.bitwise_count(octets).reshape(*others.shape[:2], -1).sum(-1, dtype=np.int64)
    lengths: NDArray[np.int64] = others.shape[-1] - 1 - ones
    return lengths


def _packed(values: NDArray[np.bool_]) -> int:
    """Truth values as the bits of a number, the first one lowest."""
    return int.from_bytes(np.packbits(values, bitorder="little").tobytes(), "little")


def _by_maxima(words: Tensor, others: Tensor) -> Tensor:
    """Row by row of the table of dynamic programming, without a copy to the host.

    An entry is the maximum of its three neighbours, the diagonal one plus 1 where the words agree; a
    cumulative maximum takes the neighbour in the row itself.
    """
    row = others.new_zeros((*others.shape[:2], others.shape[2] + 1))
    for word in words.unbind(1):
        diagonal = row[..., :-1] + (others == word[:, None, None])
        row[..., 1:] = torch.maximum(row[..., 1:], diagonal).cummax(-1).values
    return row[..., -1]
