"""Automatic metrics of answers against references: for feedback and evaluation, not the true utility.

Text metrics take ``response`` (n, L) and ``references`` (n, R, any length), both int64 (see
``mm_envs.metrics.text``), or lists of strings.
"""

from __future__ import annotations

from typing import Any

_WHERE = {
    "bleu": ("bleu_coco", "corpus_bleu", "corpus_bleu_coco", "sentence_bleu"),
    "rouge": ("rouge_l_coco", "rouge_l_google"),
    "cider": ("Cider", "CiderD", "cider_d"),
    "frequency": ("DocumentFrequency",),
    "text": ("tokenize_13a", "tokenize_alphanumeric"),
    "accuracy": ("exact_match", "token_f1"),
    "boxes": ("giou", "iou"),
    "retrieval": ("recall_at_k",),
    "weighted": ("WeightedSum",),
}
# Not cider.cider, which has the name of its module.
_MODULES = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    """Loads a metric, and with it torch, only when it is needed."""
    if name not in _MODULES:
        raise AttributeError(f"module 'mm_envs.metrics' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"mm_envs.metrics.{_MODULES[name]}"), name)
