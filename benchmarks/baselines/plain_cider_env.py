"""Captioning with CIDEr-D as reward, as a plain ``gymnasium.Env``: with a public scorer, or with our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from benchmarks.baselines.plain_caption import plain_utility
from benchmarks.baselines.plain_cider import PlainCiderD
from benchmarks.baselines.plain_env import PlainCaptionEnv, PlainItems
from mm_envs.tokenizers import Vocabulary

BEST = 10  # the largest CIDEr-D: rewards are in [0, 1]

Captions: TypeAlias = "list[list[int]]"
Scorer: TypeAlias = Callable[[list[int], int], float]


def plain_references(items: PlainItems) -> list[Captions]:
    """The reference captions of each item as token ids, ``<eos>`` and padding left out."""
    numbers = torch.arange(items.first, items.first + len(items.scenes))
    captions = items.task.batch(numbers, ["captions"])["captions"]
    return [[spoken(words) for words in texts] for texts in captions.tolist()]


def spoken(words: Sequence[int]) -> list[int]:
    """The words of a caption: what stands before ``<eos>``, without padding."""
    eos, pad = Vocabulary.eos, Vocabulary.pad
    words = words[: words.index(eos)] if eos in words else words
    return [word for word in words if word != pad]


def cached_scorer(references: Sequence[Captions], seen: int | None = None) -> Scorer:
    """CIDEr-D in plain Python, all references cooked beforehand.

    Args:
        references: The references of each item; the document frequency is counted on them.
        seen: How many of them captions are held against, from the first; None: all.

    Returns:
        A function of a caption and the number of its item.
    """
    scorer = PlainCiderD(references)
    cooked = [scorer.cook(texts[:seen]) for texts in references]
    return lambda words, item: scorer.score(words, cooked[item])


def public_scorer(references: Sequence[Captions], words: Sequence[str], seen: int | None = None) -> Scorer:
    """CIDEr-D by pycocoevalcap, its document frequency counted once.

    Args:
        references: The references of each item; the document frequency is counted on them.
        words: The word of each token id: pycocoevalcap reads text.
        seen: How many of the references captions are held against, from the first; None: all.

    Returns:
        A function of a caption and the number of its item.
    """
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    class Frozen(CiderScorer):
        """Keeps the number of documents that compute_cider would take from the captions at hand."""

        ref_len = property(lambda self: self.log_documents, lambda self, value: None)
        log_documents = np.log(float(len(references)))

    def text(caption: Sequence[int]) -> str:
        return " ".join([words[word] for word in caption])

    texts = [[text(caption) for caption in captions] for captions in references]
    whole = CiderScorer()
    for captions in texts:
        whole += (captions[0], captions)
    whole.compute_doc_freq()

    def score(caption: list[int], item: int) -> float:
        scorer = Frozen()
        scorer.document_frequency = whole.document_frequency
        scorer += (text(caption), texts[item][:seen])
        return float(scorer.compute_cider()[0])

    return score


class PlainCiderEnv(PlainCaptionEnv):
    """MMCaption-v0 with ``feedback="cider_d"`` as one would write it without this package.

    Args:
        items: The items to draw from.
        scorer: CIDEr-D of a caption and the number of its item.

    Example:
        >>> from benchmarks.baselines.plain_env import plain_items
        >>> items = plain_items("test", items=64)
        >>> env = PlainCiderEnv(items, cached_scorer(plain_references(items)))
        >>> observation, info = env.reset(seed=1)
        >>> observation, reward, terminated, truncated, info = env.step(1)
        >>> reward, info["utility"]
        (0.0, 0.0)
    """

    def __init__(self, items: PlainItems, scorer: Scorer) -> None:
        super().__init__(items)
        self._score = scorer

    def _judge(self) -> tuple[float, dict[str, Any]]:
        utility, parts = plain_utility(self._words, self._scene, self._vocabulary)
        reward = self._score(spoken(self._words), self._item) / BEST
        info = {
            "utility": utility,
            "utility_parts": parts,
            "reward_parts": {"cider_d": reward},
            "response": self._tokens.copy(),
            "episode": {"r": reward, "l": len(self._words)},
        }
        return reward, info
