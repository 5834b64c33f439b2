"""Public implementations of text metrics, behind functions of one form.

They are no dependencies of the package: ``pip install mm-envs[dev]`` brings them. Candidates are n texts,
references n lists of texts. None of them starts another program (pycocoevalcap's own tokenizer would).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Texts: TypeAlias = "Sequence[str]"
ManyTexts: TypeAlias = "Sequence[Sequence[str]]"
Scores: TypeAlias = "NDArray[np.float64]"


def optional(module: str) -> Any:
    """A module of a package that is needed here only.

    Raises:
        ModuleNotFoundError: It is not installed; the message says how to get it.

    Example:
        >>> optional("no_such_module")
        Traceback (most recent call last):
        ModuleNotFoundError: no_such_module is not installed: pip install 'mm-envs[dev]' brings it
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).partition(".")[0]
        raise ModuleNotFoundError(
            f"{package} is not installed: pip install 'mm-envs[dev]' brings it", name=error.name
        ) from None


def sacrebleu_sentences(candidates: Texts, references: ManyTexts, tokenizer: str = "13a") -> Scores:
    """Sentence BLEU of sacrebleu, 0 to 100: its default smoothing, effective order."""
    bleu = optional("sacrebleu.metrics").BLEU(tokenize=tokenizer, effective_order=True, force=True)
    pairs = zip(candidates, references, strict=True)
    return np.array([bleu.sentence_score(text, list(known)).score for text, known in pairs])


def sacrebleu_corpus(candidates: Texts, references: ManyTexts, tokenizer: str = "13a") -> float:
    """Corpus BLEU of sacrebleu, 0 to 100; items may have different numbers of references."""
    bleu = optional("sacrebleu.metrics").BLEU(tokenize=tokenizer, force=True)
    width = max(map(len, references))
    streams = [[known[i] if i < len(known) else None for known in references] for i in range(width)]
    return float(bleu.corpus_score(list(candidates), streams).score)


def google_rouge_l(candidates: Texts, references: ManyTexts) -> Scores:
    """ROUGE-L of rouge-score, 0 to 1: the F-measure of the best reference, no stemming."""
    scorer = optional("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=False)
    pairs = zip(candidates, references, strict=True)
    return np.array([scorer.score_multi(list(known), text)["rougeL"].fmeasure for text, known in pairs])


def coco_bleu(candidates: Texts, references: ManyTexts) -> tuple[Scores, Scores]:
    """BLEU-1 to BLEU-4 of pycocoevalcap, 0 to 1: of the corpus, (4,), and of sentences, (4, n)."""
    bleu = optional("pycocoevalcap.bleu.bleu").Bleu(4)
    corpus, sentences = bleu.compute_score(*_by_item(candidates, references), verbose=0)
    return np.array(corpus), np.array(sentences)


def coco_rouge_l(candidates: Texts, references: ManyTexts) -> Scores:
    """ROUGE-L of pycocoevalcap, 0 to 1."""
    scores = optional("pycocoevalcap.rouge.rouge").Rouge().compute_score(*_by_item(candidates, references))[1]
    return np.asarray(scores)


def coco_cider_d(candidates: Texts, references: ManyTexts) -> Scores:
    """CIDEr of pycocoevalcap, which is CIDEr-D, 0 to 10; document frequencies are those of the references."""
    scores = optional("pycocoevalcap.cider.cider").Cider().compute_score(*_by_item(candidates, references))[1]
    return np.asarray(scores)


def _by_item(candidates: Texts, references: ManyTexts) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    known = {i: list(texts) for i, texts in enumerate(references)}
    return known, {i: [text] for i, text in enumerate(candidates)}
