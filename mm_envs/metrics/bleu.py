"""BLEU (Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002).

With c_n of the t_n n-grams of an answer found in its references (counts clipped to the largest count in one
reference), and lengths h and r of the answer and of the reference closest in length:

    BLEU = min(1, exp(1 - r / h)) * (p_1 * ... * p_4)^(1/4),    p_n = c_n / t_n.

``sentence_bleu`` and ``corpus_bleu`` treat zeros as sacreBLEU does (Post, "A call for clarity in reporting
BLEU scores", 2018, arXiv:1804.08771), ``bleu_coco`` and ``corpus_bleu_coco`` as COCO's evaluation does. Roots
replace logarithms, so that a sentence has the same bits in every batch. ``response``, ``references`` and
``tokenizer`` are those of ``mm_envs.metrics.text.as_words``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from mm_envs.metrics.arithmetic import exponential, root
from mm_envs.metrics.ngrams import ORDERS, by_rows, earlier, occurrences, without_padding
from mm_envs.metrics.text import References, Response, as_words
from mm_envs.names import check_one_of
from mm_envs.tokenizers import sizes

# Each with its value if none is given. Chen and Cherry, "A systematic comparison of smoothing techniques for
# sentence-level BLEU", WMT 2014: floor is their method 1, add-k method 2, exp method 3.
SMOOTHINGS: dict[str, float] = {"exp": 0.0, "floor": 0.1, "add-k": 1.0, "none": 0.0}
_TINY, _SMALL = 1e-15, 1e-9
_FAR = 2**62
_LENGTHS = 2**32


@dataclass(frozen=True)
class Smoothing:
    """The treatment of n-grams that are not found.

    Attributes:
        name: "exp": the m-th precision of zero becomes 1 / (2^m t_n); "floor": value / t_n; "add-k": value is
            added to c_n and t_n for n > 1; "none": zero stays zero.
        value: For "floor" 0.1 by default, for "add-k" 1.
        effective_order: Whether orders above the length of the answer are left out.
    """

    name: str = "exp"
    value: float | None = None
    effective_order: bool = True

    def __post_init__(self) -> None:
        check_one_of("smoothing", self.name, SMOOTHINGS)
        if self.value is None:
            object.__setattr__(self, "value", SMOOTHINGS[self.name])


@dataclass(frozen=True)
class Counts:
    """The counts of n sentences from which BLEU is computed.

    Attributes:
        correct: N-grams found in a reference, (n, orders) int64.
        total: All n-grams, (n, orders) int64.
        size: The lengths of the answers, (n,) int64.
        closest: The lengths of the closest references, the shorter one of two, (n,) int64.
    """

    correct: Tensor
    total: Tensor
    size: Tensor
    closest: Tensor

    def sum(self) -> Counts:
        """The counts of all sentences as of one."""
        counts = (self.correct, self.total, self.size, self.closest)
        return Counts(*(count.sum(0, keepdim=True) for count in counts))


def count(words: Tensor, references: Tensor, orders: int = ORDERS) -> Counts:
    """Counts the n-grams of answers (n, L) in references (n, R, M), both with words first."""
    correct = by_rows(partial(_correct, orders), words, references)
    size = sizes(words)
    total = (size[:, None] - torch.arange(orders, device=words.device)).clamp_(min=0)
    lengths = sizes(references)
    # The nearest length and, of two equally near, the shorter one; no reference without words.
    near = (lengths - size[:, None]).abs_() * _LENGTHS + lengths
    closest = torch.where(lengths > 0, near, _FAR).amin(1) % _LENGTHS
    return Counts(correct, total, size, closest)


def _correct(orders: int, words: Tensor, references: Tensor) -> Tensor:
    words, references = pad(words, (0, 1)), without_padding(references)
    correct: Tensor = (earlier(words, orders) < occurrences(words, references, orders).amax(2)).sum(-1).T
    return correct


def sentence_bleu(
    response: Response,
    references: References,
    *,
    smoothing: str = "exp",
    smoothing_value: float | None = None,
    max_order: int = ORDERS,
    effective_order: bool = True,
    tokenizer: str = "whitespace",
) -> Tensor:
    """BLEU of each sentence, (n,) float64 in [0, 1]: sacreBLEU 2's ``sentence_score`` divided by 100.

    sacreBLEU's own defaults are ``tokenizer="13a"`` and ``effective_order=False``; for sentences it
    recommends True, as here. ``smoothing``, its value and ``effective_order`` are those of ``Smoothing``; the
    longest n-grams have ``max_order`` words, 1 to 4.

    Raises:
        ValueError: An argument is not one of its choices.

    Example:
        >>> references = [["a red dog"], ["a cat sits", "a red cat"]]
        >>> scores = sentence_bleu(["a red dog", "a red cat sits"], references)
        >>> [round(score, 4) for score in scores.tolist()]
        [1.0, 0.7071]
    """
    smooth = Smoothing(smoothing, smoothing_value, effective_order)
    counts = _counted(response, references, max_order, tokenizer)
    return bleu_of_counts(counts, smooth)


def bleu_of_counts(counts: Counts, smoothing: Smoothing) -> Tensor:
    """BLEU as sacreBLEU computes it from counts, (n,) float64 in [0, 1]."""
    correct, total = counts.correct.to(torch.float64), counts.total.to(torch.float64)
    assert smoothing.value is not None
    if smoothing.name == "add-k":
        correct[:, 1:] += smoothing.value
        total[:, 1:] += smoothing.value
    there = total > 0
    precision = correct / total.clamp(min=_SMALL)
    zero = there & (correct == 0)
    if smoothing.name == "exp":
        doubled = torch.ones_like(counts.total) << zero.to(torch.int64).cumsum(1)
        precision = torch.where(zero, 1 / (doubled * total), precision)
    elif smoothing.name == "floor":
        precision = torch.where(zero, smoothing.value / total, precision)
    orders = torch.full_like(counts.size, precision.shape[1])
    if smoothing.effective_order:
        orders = there.sum(1)
        precision = torch.where(there, precision, 1.0)
    score = root(_product(precision), orders) * _brevity(counts.size, counts.closest)
    return torch.where((counts.correct > 0).any(1), score, 0.0)


def corpus_bleu(
    response: Response,
    references: References,
    *,
    smoothing: str = "exp",
    smoothing_value: float | None = None,
    max_order: int = ORDERS,
    effective_order: bool = False,
    tokenizer: str = "whitespace",
) -> float:
    """BLEU of a corpus in [0, 1]: sacreBLEU 2's ``corpus_score`` divided by 100.

    Counts and lengths are summed over all sentences first: it is not the mean of sentence BLEU. Arguments are
    those of ``sentence_bleu``; sacreBLEU's own default is ``tokenizer="13a"``.

    Example:
        >>> round(corpus_bleu(["a red dog sits", "a cat"], [["a red dog sat"], ["a cat"]]), 4)
        0.6287
    """
    smooth = Smoothing(smoothing, smoothing_value, effective_order)
    counts = _counted(response, references, max_order, tokenizer)
    return float(bleu_of_counts(counts.sum(), smooth))


def bleu_coco(response: Response, references: References, *, tokenizer: str = "whitespace") -> Tensor:
    """BLEU-1 to BLEU-4 of each sentence, (n, 4) float64 in [0, 1], as COCO's evaluation computes them.

    Zeros are not smoothed: p_n = (c_n + 1e-15) / (t_n + 1e-9), and all orders count whatever the length.
    """
    return _coco_of_counts(_counted(response, references, ORDERS, tokenizer))


def corpus_bleu_coco(response: Response, references: References, *, tokenizer: str = "whitespace") -> Tensor:
    """BLEU-1 to BLEU-4 of a corpus in [0, 1], as COCO's evaluation computes them, (4,) float64."""
    return _coco_of_counts(_counted(response, references, ORDERS, tokenizer).sum())[0]


def _coco_of_counts(counts: Counts) -> Tensor:
    precision = (counts.correct.to(torch.float64) + _TINY) / (counts.total.to(torch.float64) + _SMALL)
    orders = range(1, ORDERS + 1)
    scores = [root(_product(precision[:, :n]), torch.full_like(counts.size, n)) for n in orders]
    size, closest = counts.size.to(torch.float64) + _TINY, counts.closest.to(torch.float64) + _SMALL
    return torch.stack(scores, 1) * _brevity(size, closest)[:, None]


def _counted(response: Response, references: References, orders: int, tokenizer: str) -> Counts:
    if not 1 <= orders <= ORDERS:
        raise ValueError(f"max_order={orders} is not one of 1, 2, 3, 4")
    return count(*as_words(response, references, tokenizer), orders)


def _product(factors: Tensor) -> Tensor:
    product = factors[:, 0]
    for n in range(1, factors.shape[1]):
        product = product * factors[:, n]
    return product


def _brevity(size: Tensor, closest: Tensor) -> Tensor:
    """min(1, exp(1 - r / h)), (n,) float64; nearly 0 for an answer without words."""
    return exponential(1 - closest.to(torch.float64) / size.to(torch.float64).clamp(min=_TINY))
