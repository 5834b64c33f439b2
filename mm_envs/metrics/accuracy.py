"""Accuracy and token F1, as functions on tensors and as feedback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mm_envs.episodes import Episodes, Judgement
from mm_envs.feedback_sources import TaskFeedback
from mm_envs.metrics.text import Numbering, check_pairs, words_of
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
    response, reference = _of_one_kind(response, reference, tokenizer)
    if vocabulary_size is None:
        vocabulary_size = 1 + max(int(ids.max()) if ids.numel() else 0 for ids in (response, reference))
    mine, theirs = word_counts(response, vocabulary_size), word_counts(reference, vocabulary_size)
    common = torch.minimum(mine, theirs).sum(1)
    total = mine.sum(1) + theirs.sum(1)
    # Whole numbers until the last division: the same bits whatever the batch.
    return torch.where(total == 0, 1.0, (2 * common).to(torch.float32) / total.clamp(min=1).to(torch.float32))


def exact_match(
    response: Tensor | Sequence[str], reference: Tensor | Sequence[str], tokenizer: str = "whitespace"
) -> Tensor:
    """Whether an answer has exactly the words of the reference, in their order, (n,) bool; see ``token_f1``.

    Example:
        >>> exact_match(["a  dog", "a cat"], ["a dog", "a dog"])
        tensor([ True, False])
    """
    response, reference = _of_one_kind(response, reference, tokenizer)
    return same_words(response, reference)


def _of_one_kind(
    response: Tensor | Sequence[str], reference: Tensor | Sequence[str], tokenizer: str
) -> tuple[Tensor, Tensor]:
    """Token ids; strings are numbered together and padded to one length."""
    if isinstance(response, Tensor) and isinstance(reference, Tensor):
        return response, reference
    check_pairs(response, reference)
    ids = Numbering(tokenizer).encode(list(zip(response, reference, strict=True)))
    return ids[:, 0], ids[:, 1]


class Accuracy(TaskFeedback):
    """1 where the answer is the reference answer, else 0.

    The kind of the answers decides which are the same: of vectors those with one largest entry.
    """

    def score(self, episodes: Episodes) -> Judgement:
        """Whether each answer is right."""
        assert episodes.reference is not None
        right = self._task.oracle(episodes.reference)
        reward = self._task.answer.same(episodes.response, right).to(torch.float32)
        return Judgement(reward, {"accuracy": reward})


class TokenF1(TaskFeedback):
    """Token F1 of the answer against one reference answer."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._size = len(words_of(task, "token_f1"))

    def score(self, episodes: Episodes) -> Judgement:
        """F1 of each answer."""
        assert episodes.reference is not None
        reward = token_f1(episodes.response, self._task.oracle(episodes.reference), self._size)
        return Judgement(reward, {"token_f1": reward})
