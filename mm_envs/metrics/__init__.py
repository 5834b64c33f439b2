"""Automatic metrics of answers against references: for feedback and evaluation, not the true utility."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_envs.optional import lazy_attributes

if TYPE_CHECKING:
    from mm_envs.metrics.accuracy import exact_match, token_f1
    from mm_envs.metrics.bleu import bleu_coco, corpus_bleu, corpus_bleu_coco, sentence_bleu
    from mm_envs.metrics.cider import Cider, CiderD, cider_d
    from mm_envs.metrics.frequency import DocumentFrequency
    from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google

# The default feedback of every environment needs none of them. `cider` is the name of a module here.
__getattr__ = lazy_attributes(
    __name__,
    {
        "mm_envs.metrics.accuracy": ["exact_match", "token_f1"],
        "mm_envs.metrics.bleu": ["bleu_coco", "corpus_bleu", "corpus_bleu_coco", "sentence_bleu"],
        "mm_envs.metrics.cider": ["Cider", "CiderD", "cider_d"],
        "mm_envs.metrics.frequency": ["DocumentFrequency"],
        "mm_envs.metrics.rouge": ["rouge_l_coco", "rouge_l_google"],
    },
)

__all__ = [
    "Cider",
    "CiderD",
    "DocumentFrequency",
    "bleu_coco",
    "cider_d",
    "corpus_bleu",
    "corpus_bleu_coco",
    "exact_match",
    "rouge_l_coco",
    "rouge_l_google",
    "sentence_bleu",
    "token_f1",
]
