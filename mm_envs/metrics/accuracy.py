"""Accuracy and token F1, as functions on tensors and as feedback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mm_envs.arrays import A, cast, numpy_on_cpu
from mm_envs.episodes import Episodes, Judgement
from mm_envs.feedback_sources import TaskFeedback
from mm_envs.metrics.text import check_pairs, splitter, words_of
from mm_envs.tokenizers import is_word, same_words

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task


def word_counts(tokens: Tensor, vocabulary_size: int) -> Tensor:
    """How often each word occurs in each row, (n, vocabulary_size) int64, without ``<eos>`` and padding."""
    counts = torch.zeros((len(tokens), vocabulary_size), dtype=torch.int64, device=tokens.device)
    return counts.scatter_add_(1, tokens, is_word(tokens).to(torch.int64))


def token_f1(
    response: Tensor | Sequence[str],
    reference: Tensor | Sequence[str],
    vocabulary_size: int | None = None,
    tokenizer: str = "whitespace",
) -> Tensor:
    """F1 of the words of an answer against one reference, as bags of words, (n,) float32.

    F1 = 2 c / (m + n), where c words are common (with multiplicity), m are in the answer and n in the
    reference (Rajpurkar et al., "SQuAD", 2016, arXiv:1606.05250, but articles and punctuation are kept); 1
    where both are empty.

    Args:
        response: Token ids, (n, length) int64, or n strings.
        reference: Likewise, of any length.
        vocabulary_size: The number of token ids; None: as many as occur (which waits for an accelerator).
        tokenizer: Of strings: "whitespace", "13a" or "alphanumeric".

    Example:
        >>> token_f1(torch.tensor([[3, 4, 1]]), torch.tensor([[4, 1]]), 5)
        tensor([0.6667])
    """
    if isinstance(response, Tensor) and isinstance(reference, Tensor):
        return _f1(*_counts_of_ids(response, reference, vocabulary_size))
    return _f1(*_counts_of_texts(*_split(response, reference, tokenizer)))


@numpy_on_cpu
def _f1(common: A, total: A) -> A:
    # Whole numbers until the last division: the same bits whatever the batch.
    f1: A = cast(2 * common + (total == 0), torch.float32) / cast(total.clip(1), torch.float32)
    return f1


def _counts_of_ids(response: Tensor, reference: Tensor, vocabulary_size: int | None) -> tuple[Tensor, Tensor]:
    """The words in common and the words of both, (n,) int64 each."""
    if vocabulary_size is None:
        vocabulary_size = 1 + max(int(ids.max()) if ids.numel() else 0 for ids in (response, reference))
    mine, theirs = word_counts(response, vocabulary_size), word_counts(reference, vocabulary_size)
    return torch.minimum(mine, theirs).sum(1), mine.sum(1) + theirs.sum(1)


def _counts_of_texts(response: list[Sequence[str]], reference: list[Sequence[str]]) -> tuple[Tensor, Tensor]:
    """``_counts_of_ids`` of words."""
    pairs = zip(map(Counter, response), map(Counter, reference), strict=True)
    common = [_in_common(one, two) for one, two in pairs]
    total = [len(one) + len(two) for one, two in zip(response, reference, strict=True)]
    return torch.tensor(common, dtype=torch.int64), torch.tensor(total, dtype=torch.int64)


def _in_common(one: Counter[str], two: Counter[str]) -> int:
    # Not one & two, which calls a function of Python for each word that two lacks.
    both = one.keys() & two.keys()
    return sum(map(min, map(one.__getitem__, both), map(two.__getitem__, both)))


def exact_match(
    response: Tensor | Sequence[str], reference: Tensor | Sequence[str], tokenizer: str = "whitespace"
) -> Tensor:
    """Whether an answer has exactly the words of the reference, in their order, (n,) bool; see ``token_f1``.

    Example:
        >>> exact_match(["a  dog", "a cat"], ["a dog", "a dog"])
        tensor([ True, False])
    """
    if isinstance(response, Tensor) and isinstance(reference, Tensor):
        return same_words(response, reference)
    pairs = zip(*_split(response, reference, tokenizer), strict=True)
    return torch.tensor([mine == theirs for mine, theirs in pairs], dtype=torch.bool)


def _split(
    response: Tensor | Sequence[str], reference: Tensor | Sequence[str], tokenizer: str
) -> tuple[list[Sequence[str]], list[Sequence[str]]]:
    """The words of strings."""
    check_pairs(response, reference)
    split = splitter(tokenizer)
    return list(map(split, response)), list(map(split, reference))


class Accuracy(TaskFeedback):
    """1 where the answer is the reference answer, else 0.

    The kind of the answers decides which are the same: of vectors those with one largest entry.
    """

    by_row = True

    def score(self, episodes: Episodes) -> Judgement:
        """Whether each answer is right."""
        assert episodes.reference is not None
        right = self._task.oracle(episodes.reference)
        reward = self._task.answer.same(episodes.response, right).to(torch.float32)
        return Judgement(reward, {"accuracy": reward})


class TokenF1(TaskFeedback):
    """Token F1 of the answer against one reference answer."""

    by_row = True

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._size = len(words_of(task, "token_f1"))

    def score(self, episodes: Episodes) -> Judgement:
        """F1 of each answer."""
        assert episodes.reference is not None
        reward = token_f1(episodes.response, self._task.oracle(episodes.reference), self._size)
        return Judgement(reward, {"token_f1": reward})
