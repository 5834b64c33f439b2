"""The sides of the speed benchmark of metrics: our tensors, public scorers, and plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import metric_oracles
from benchmarks.baselines.plain_cider import PlainCiderD
from benchmarks.caption_words import simple_words
from benchmarks.human_agreement import split_all
from benchmarks.sides import Side
from mm_envs.metrics.bleu import sentence_bleu
from mm_envs.metrics.cider import CiderD, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.text import Numbering

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Duel:
    """Our side against another one.

    Attributes:
        ours: The number of our side.
        other: The number of the other side.
        bar: How many times as quick ours must be; None: for information.
        goal: What is hoped for beyond.
    """

    ours: int
    other: int
    bar: float | None = None
    goal: float | None = None


@dataclass(frozen=True)
class Contest:
    """Sides that do the same.

    Attributes:
        name: What they do.
        sides: Who takes turns.
        duels: Who is compared with whom.
    """

    name: str
    sides: Sequence[Side]
    duels: Sequence[Duel]


def bleu_contest(candidates: Sequence[str], references: Sequence[Sequence[str]], bar: float) -> Contest:
    """Sentence BLEU: of words that stand apart, and of captions as they were written.

    Of words, ours is given token ids, as the engine gives them, and sacrebleu texts that it parts at spaces.
    Of captions, both are given texts and part them by the rules of 13a; both remember how they parted a text
    that they saw before.
    """
    words, known = split_all(simple_words, candidates), [split_all(simple_words, r) for r in references]
    numbering = Numbering()
    response, truth = numbering.encode([[text] for text in words]).flatten(1), numbering.encode(known)
    sides = [
        _side("mm-envs, token ids", lambda: 100 * sentence_bleu(response, truth), len(words)),
        _side(
            "sacrebleu, words", lambda: metric_oracles.sacrebleu_sentences(words, known, "none"), len(words)
        ),
        _side(
            "mm-envs, captions (13a)",
            lambda: 100 * sentence_bleu(candidates, references, tokenizer="13a"),
            len(words),
        ),
        _side(
            "sacrebleu, captions (13a)",
            lambda: metric_oracles.sacrebleu_sentences(candidates, references),
            len(words),
        ),
    ]
    _same(sides[0], sides[1])
    _same(sides[2], sides[3])
    several = len(references[0])
    name = f"sentence BLEU, {several} reference{'s' * (several > 1)}"
    return Contest(name, sides, [Duel(0, 1, bar), Duel(2, 3)])


def cider_contest(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Contest:
    """CIDEr-D of words that stand apart.

    pycocoevalcap is called as its users do, with all captions at once; it counts the document frequency every
    time. Ours and plain Python froze it and keep what they know of the references. For comparison, ours from
    texts to scores with nothing kept.
    """
    words, known = split_all(simple_words, candidates), [split_all(simple_words, r) for r in references]
    numbering = Numbering()
    response, truth = numbering.encode([[text] for text in words]).flatten(1), numbering.encode(known)
    judge = CiderD(truth, DocumentFrequency.of(truth))
    spoken, documents = [text.split() for text in words], [[text.split() for text in r] for r in known]
    plain = PlainCiderD(documents)
    cooked = [plain.cook(texts) for texts in documents]
    sides = [
        _side("mm-envs, token ids, references kept", lambda: judge.score(response), len(words)),
        _side("pycocoevalcap", lambda: metric_oracles.coco_cider_d(words, known), len(words)),
        _side(
            "plain Python, references kept",
            lambda: np.array([plain.score(text, r) for text, r in zip(spoken, cooked, strict=True)]),
            len(words),
        ),
        _side(
            "mm-envs, texts, nothing kept",
            lambda: cider_d(words, known, DocumentFrequency.of(known)),
            len(words),
        ),
    ]
    for other in (1, 2, 3):
        _same(sides[0], sides[other])
    return Contest(
        f"CIDEr-D, {len(references[0])} references", sides, [Duel(0, 1, 30), Duel(0, 2, 5), Duel(3, 1)]
    )


def _side(name: str, score: Callable[[], Tensor | NDArray[np.float64]], rows: int) -> Side:
    return Side(name, rows, True, lambda _: score(), [None])


def _same(ours: Side, other: Side) -> None:
    difference = float(np.abs(np.asarray(ours.step(None)) - np.asarray(other.step(None))).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"{ours.name} and {other.name} differ by {difference:.2g}: they do not do the same"
        )
