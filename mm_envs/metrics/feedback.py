"""Text metrics as feedback: rewards in [0, 1] for answers in words, from human-written references.

They use the first reference unless ``references=`` shows more. An ``<unk>`` in an answer matches nothing.
What depends on the references alone is computed once an item, see ``mm_envs.episodes.derived``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from mm_envs.episodes import Episodes, Judgement, derived
from mm_envs.feedback_sources import TaskFeedback
from mm_envs.metrics.bleu import Smoothing, bleu_of_counts, count
from mm_envs.metrics.cider import V01, D, Definition, ReferenceVectors, score_words
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.ngrams import EXACT_IDS, ORDERS
from mm_envs.metrics.rouge import rouge_l_coco_of_words, rouge_l_google_of_words
from mm_envs.metrics.text import words_of
from mm_envs.tokenizers import FIRST_WORD, is_unknown, pad_to, sizes, words_first

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task

_BATCH = 4096
_KEPT = 8
_frequencies: dict[tuple[str, bool], DocumentFrequency] = {}
_lock = Lock()


class TextFeedback(TaskFeedback, ABC):
    """Base class of text metrics as feedback.

    The references are the ``captions`` of the task, or its oracle's answer where it has none.

    Args:
        task: A task whose answers are words.
        references: How many references of each item are used, from the first; None: all.
    """

    name: ClassVar[str]

    def __init__(self, task: Task, references: int | None = 1) -> None:
        vocabulary = words_of(task, self.name)
        if references is not None and references < 1:
            raise ValueError(
                f"references={references} is below 1: leave it out for one, or give None for all"
            )
        super().__init__(task)
        self._references, self._vocabulary = references, vocabulary
        self._captioned = "captions" in task.reference
        # A word that no reference has.
        self._strange = len(self._vocabulary)
        self._exact = self._strange < EXACT_IDS

    def score(self, episodes: Episodes) -> Judgement:
        """The metric of each answer."""
        assert episodes.reference is not None
        words = words_first(episodes.response)
        words = words.masked_fill(is_unknown(words), self._strange)
        known = derived(episodes.reference, self._key(), self._known)
        reward = self._score(words, known).to(torch.float32)
        return Judgement(reward, {self.name: reward})

    def _key(self) -> Hashable:
        """Everything that ``_known`` depends on besides the item."""
        return (self.name, self._references, self._exact, None if self._captioned else self._task)

    def _words(self, reference: Mapping[str, Tensor]) -> Tensor:
        """The references in use, (n, R, length) int64, words first and zeros behind them."""
        if self._captioned:
            captions = reference["captions"]
            return words_first(captions if self._references is None else captions[:, : self._references])
        return words_first(self._task.oracle(reference)[:, None])

    def _known(self, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Prepared references: tensors with leading dimension n."""
        return {"words": self._words(reference)}

    @abstractmethod
    def _score(self, words: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        """The metric of answers in [0, 1], (n,)."""


class ExactMatch(TextFeedback):
    """1 for an answer with exactly the words of a reference, in their order; else 0."""

    name = "exact_match"
    by_row = True

    def _score(self, words: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        references = known["words"]
        width = max(words.shape[-1], references.shape[-1])
        mine, theirs = pad_to(words, width), pad_to(references, width)
        written = sizes(references) > 0
        present = written | ~written.any(-1, keepdim=True)
        return ((mine[:, None] == theirs).all(-1) & present).any(1)


class RougeLGoogle(TextFeedback):
    """ROUGE-L F1 (Lin, 2004) as Google's rouge-score computes it; see ``rouge_l_google``."""

    name = "rouge_l"
    by_row = True

    def _score(self, words: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        return rouge_l_google_of_words(words, known["words"])


class RougeLCoco(TextFeedback):
    """ROUGE-L (Lin, 2004) as COCO's evaluation computes it; see ``rouge_l_coco``."""

    name = "rouge_l_coco"
    by_row = True

    def _score(self, words: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        return rouge_l_coco_of_words(words, known["words"])


class Bleu(TextFeedback):
    """Sentence BLEU (Papineni et al., 2002), divided by 100, as sacreBLEU computes it; see ``sentence_bleu``.

    Arguments are those of ``TextFeedback`` and ``sentence_bleu``.
    """

    name = "bleu"
    by_row = True

    def __init__(
        self,
        task: Task,
        references: int | None = 1,
        smoothing: str = "exp",
        smoothing_value: float | None = None,
        max_order: int = ORDERS,
        effective_order: bool = True,
    ) -> None:
        super().__init__(task, references)
        if not 1 <= max_order <= ORDERS:
            raise ValueError(f"max_order={max_order} is not one of 1, 2, 3, 4")
        self._smoothing, self._orders = Smoothing(smoothing, smoothing_value, effective_order), max_order

    def _score(self, words: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        return bleu_of_counts(count(words, known["words"], self._orders), self._smoothing)


class Cider(TextFeedback):
    """CIDEr v0.1 (Vedantam et al., 2015), 0 to 1; see ``cider``.

    Args:
        task: A task whose answers are words.
        references: How many references of each item are used, from the first; None: all.
        frequency: The document frequency of token ids of the same vocabulary; None: that of the captions of
            the training split.

    Raises:
        ValueError: The task has no captions, or the document frequency is that of another vocabulary.
    """

    name = "cider"
    by_row = True
    definition: ClassVar[Definition] = V01

    def __init__(
        self, task: Task, references: int | None = 1, frequency: DocumentFrequency | None = None
    ) -> None:
        super().__init__(task, references)
        if frequency is None:
            if not self._captioned:
                raise ValueError(
                    f"feedback={self.name!r} needs captions to count n-grams: give frequency=, or use 'bleu'"
                )
            frequency = frequency_of(task, self._exact)
        elif frequency.words is not None and frequency.words != self._vocabulary.words[FIRST_WORD:]:
            raise ValueError(
                "frequency= was built from strings, and its words are not those of the task: build it from "
                "token ids of the task"
            )
        elif frequency.exact > self._exact:
            raise ValueError("frequency= is for less than 2**16 words: build it with exact=False")
        self.frequency, self._digest = frequency, frequency.digest

    def _key(self) -> Hashable:
        return (*super()._key(), self._digest)  # type: ignore[misc]

    def _known(self, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        vectors = ReferenceVectors.of(self._words(reference), self.frequency, self.definition)
        return {"words": vectors.words, "norms": vectors.norms}

    def _score(self, words: Tensor, known: Mapping[str, Tensor]) -> Tensor:
        vectors = ReferenceVectors(known["words"], known["norms"])
        return score_words(words, vectors, self.frequency, self.definition) / self.definition.scale


class CiderD(Cider):
    """CIDEr-D (Vedantam et al., 2015), divided by 10: 0 to 1; see ``cider_d`` and ``Cider``."""

    name = "cider_d"
    definition = D


def frequency_of(task: Task, exact: bool = True) -> DocumentFrequency:
    """The document frequency of the captions of the training items, cached."""
    key = (task.dataset.fingerprint(), exact)
    with _lock:
        if key not in _frequencies:
            train = task.dataset.range("train")
            batches = (
                task.batch(torch.arange(at, min(at + _BATCH, train.stop)), ["captions"])["captions"]
                for at in range(train.start, train.stop, _BATCH)
            )
            while len(_frequencies) >= _KEPT:
                del _frequencies[next(iter(_frequencies))]
            _frequencies[key] = DocumentFrequency.of(batches, exact=exact)
        return _frequencies[key]
