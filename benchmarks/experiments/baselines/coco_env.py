"""Captioning with CIDEr-D of pycocoevalcap as reward, as a plain ``gymnasium.Env``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from benchmarks.baselines.plain_env import PlainCaptionEnv, PlainItems

BEST = 10  # the largest CIDEr-D: rewards are in [0, 1]
Scorer: TypeAlias = Callable[[str, int], float]


def coco_scorer(items: PlainItems) -> Scorer:
    """CIDEr-D by pycocoevalcap against all references; their document frequency is counted once.

    Returns:
        A function of a caption and the number of its item.
    """
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    numbers = torch.arange(items.first, items.first + len(items.scenes))
    captions = items.task.batch(numbers, ["captions"])["captions"]
    vocabulary = items.vocabulary
    texts = [[text for one in several if (text := vocabulary.decode(one))] for several in captions]

    class Frozen(CiderScorer):
        """Keeps the number of documents that compute_cider would take from the captions at hand."""

        ref_len = property(lambda self: self.log_documents, lambda self, value: None)
        log_documents = np.log(float(len(texts)))

    whole = CiderScorer()
    for several in texts:
        whole += (several[0], several)
    whole.compute_doc_freq()

    def score(caption: str, item: int) -> float:
        scorer = Frozen()
        scorer.document_frequency = whole.document_frequency
        scorer += (caption, texts[item])
        return float(scorer.compute_cider()[0])

    return score


class CocoEnv(PlainCaptionEnv):
    """MMCaption-v0 with ``feedback="cider_d"`` and all references as one would write it with pycocoevalcap.

    Example:
        >>> from benchmarks.baselines.plain_env import plain_items
        >>> items = plain_items("test", items=64)
        >>> env = CocoEnv(items, lambda caption, item: 5.0)
        >>> observation, info = env.reset(seed=1)
        >>> env.step(1)[1]
        0.5
    """

    def __init__(self, items: PlainItems, scorer: Scorer) -> None:
        super().__init__(items)
        self._scorer = scorer

    def _score(self, utility: float) -> tuple[float, dict[str, float]]:
        caption = self._vocabulary.decode(torch.tensor(self._words))
        reward = self._scorer(caption, self._item) / BEST
        return reward, {"cider_d": reward}
