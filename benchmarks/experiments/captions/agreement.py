"""Our text metrics compared with public implementations and with scores of their authors.

Differences are absolute, on the scale of the other implementation: 0 to 100 for sacrebleu, 0 to 10 for
CIDEr-D, 0 to 1 for the others. Every reference has a word: to us one without words is absent, the others take
it for an empty text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment import Context
from benchmarks.experiments.captions import data, oracles
from benchmarks.experiments.captions.people import in_buckets, split_all
from benchmarks.experiments.captions.words import cider_words, simple_words
from benchmarks.report import Table
from mm_envs.metrics.bleu import bleu_coco, corpus_bleu, corpus_bleu_coco, sentence_bleu
from mm_envs.metrics.cider import Cider, cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google

MAX_DIFFERENCE = 1e-4
SACREBLEU_SCALE = 100

Scores: TypeAlias = "NDArray[np.float64]"
Rows: TypeAlias = "Iterator[tuple[str, str, Any, Any]]"

_ALPHABET = "abAB09 .,-'\"&<>;:!?/()[]{}~@$%éß\u00a0語"
EXAMPLE, AUTHORS = "the worked example of nlg-eval", "the scores of the authors of CIDEr"
TEXTS = (
    "Flickr8k, 5 references",
    "Flickr8k, 1 reference",
    "THumB, 4 references",
    "AudioCaps-Eval, 1 to 5 references",
    "PASCAL-50S, 50 references",
    "random words",
    "random characters",
)
_LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 17, 33, 64)


@dataclass(frozen=True)
class Texts:
    """Candidates with their references.

    Attributes:
        name: Where they come from.
        candidates: n texts.
        references: n lists of texts, none of them without words.
    """

    name: str
    candidates: list[str]
    references: list[list[str]]


@dataclass(frozen=True)
class Difference:
    """The distance of our scores from those of another implementation.

    Attributes:
        metric: The metric.
        other: The other implementation.
        texts: The texts.
        count: The number of scores.
        largest: The largest absolute difference.
    """

    metric: str
    other: str
    texts: str
    count: int
    largest: float

    @property
    def met(self) -> bool:
        """Whether it is small enough."""
        return self.largest <= MAX_DIFFERENCE


def implementations(context: Context, seed: int, texts: str, limit: int) -> list[dict[str, Any]]:
    """The largest difference of every metric from other implementations.

    Args:
        context: Names the folders of the sets.
        seed: Draws random texts.
        texts: One of ``TEXTS``, ``EXAMPLE`` or ``AUTHORS``.
        limit: The number of candidates.
    """
    if texts == EXAMPLE:
        found = _worked_example(context)
    elif texts == AUTHORS:
        found = _authors(context, limit)
    else:
        found = differences(texts_of(texts, context, seed, limit))
    return [{**asdict(one), "met": one.met} for one in found]


def differences(texts: Texts) -> list[Difference]:
    """Our metrics compared with sacrebleu, rouge-score and pycocoevalcap."""
    compared = [*_as_written(texts), *_in_words(texts)]
    return [_difference(metric, other, texts.name, ours, theirs) for metric, other, ours, theirs in compared]


def random_words(generator: np.random.Generator, number: int, references: int = 5) -> Texts:
    """Random words of a small vocabulary: empty, short, long, repeating and literally repeated captions."""
    known = []
    for _ in range(number):
        several = generator.integers(1, references, endpoint=True)
        known.append([_random_text(generator, minimum=1) for _ in range(several)])
    candidates = [
        str(generator.choice(texts)) if generator.random() < 0.1 else _random_text(generator)
        for texts in known
    ]
    return Texts("random words", candidates, known)


def random_characters(generator: np.random.Generator, number: int) -> Texts:
    """Random texts with punctuation, digits, spaces and letters beyond ASCII."""

    def draw() -> str:
        letters = generator.choice(list(_ALPHABET), size=generator.integers(40))
        ending = generator.choice(["", " a", " &amp; b", " 3,000.5", " <skipped>"])
        return f"{''.join(letters)}{ending}"

    texts = Texts("random characters", [draw() for _ in range(number)], [])
    # At least one letter: every reference has words.
    references = [[draw() + " a" for _ in range(generator.integers(1, 4))] for _ in range(number)]
    return replace(texts, references=references)


def _random_text(generator: np.random.Generator, minimum: int = 0) -> str:
    words = generator.integers(2, 12)
    length = max(minimum, int(generator.choice(_LENGTHS)))
    # Sometimes longer than what fits into a byte.
    length = 300 if generator.random() < 0.005 else length
    return " ".join("abcdefghijkl"[word] for word in generator.integers(words, size=length))


def texts_of(name: str, context: Context, seed: int, limit: int) -> Texts:
    """The texts of a name."""
    generator = np.random.default_rng(seed)
    if name == "random words":
        return random_words(generator, limit)
    if name == "random characters":
        return random_characters(generator, limit)
    if name.startswith("Flickr8k"):
        # Each caption is in the file three times, once an expert.
        known = data.flickr8k_expert(context.folder("flickr8k_human_judgements"))
        references = known.references[: 3 * limit : 3]
        references = [texts[:1] for texts in references] if name.endswith("1 reference") else references
        return Texts(name, known.candidates[: 3 * limit : 3], references)
    if name.startswith("THumB"):
        rated = data.thumb(context.folder("thumb_mscoco_ratings"))
        return Texts(name, rated.candidates[:limit], rated.references[:limit])
    if name.startswith("AudioCaps"):
        sounds = data.fense(context.folder("fense_audiocaps_eval"))
        return Texts(name, sounds.first[:limit], sounds.references[:limit])
    pairs = data.pascal50s(context.folder("pascal50s_human_pairs"), 50)
    return Texts(name, pairs.first[: limit // 5], pairs.references[: limit // 5])


def _as_written(texts: Texts) -> Rows:
    """Metrics that split texts themselves."""
    candidates, references = texts.candidates, texts.references
    for tokenizer, theirs in (("13a", "13a"), ("whitespace", "none")):
        name = f"BLEU, {tokenizer}"
        yield (
            f"{name}, sentences",
            "sacrebleu",
            SACREBLEU_SCALE * _bucketed(sentence_bleu, texts, tokenizer=tokenizer),
            oracles.sacrebleu_sentences(candidates, references, theirs),
        )
        yield (
            f"{name}, corpus",
            "sacrebleu",
            SACREBLEU_SCALE * corpus_bleu(candidates, references, tokenizer=tokenizer),
            oracles.sacrebleu_corpus(candidates, references, theirs),
        )
    yield (
        "ROUGE-L (Google)",
        "rouge-score",
        _bucketed(rouge_l_google, texts, tokenizer="alphanumeric"),
        oracles.google_rouge_l(candidates, references),
    )


def _in_words(texts: Texts) -> Rows:
    """Metrics of texts with one space between words."""
    candidates = split_all(simple_words, texts.candidates)
    references = [split_all(simple_words, known) for known in texts.references]
    words = Texts(texts.name, candidates, references)
    corpus, sentences = oracles.coco_bleu(candidates, references)
    yield "BLEU-1 to 4 (COCO), sentences", "pycocoevalcap", _bucketed(bleu_coco, words).T, sentences
    ours = corpus_bleu_coco(candidates, references).numpy()
    yield "BLEU-1 to 4 (COCO), corpus", "pycocoevalcap", ours, corpus
    theirs = oracles.coco_rouge_l(candidates, references)
    yield "ROUGE-L (COCO)", "pycocoevalcap", _bucketed(rouge_l_coco, words), theirs
    frequency = DocumentFrequency.of(references)
    theirs = oracles.coco_cider_d(candidates, references)
    yield "CIDEr-D", "pycocoevalcap", _bucketed(cider_d, words, frequency=frequency), theirs


def _bucketed(score: Callable[..., Any], texts: Texts, **arguments: Any) -> Scores:
    return in_buckets(lambda mine, known: score(mine, known, **arguments), texts.candidates, texts.references)


def _worked_example(context: Context) -> list[Difference]:
    """Two sentences with two references each, and what the tests of nlg-eval expect; words as written."""
    folder = context.folder("caption_metric_yardsticks") / "nlg-eval"
    lines = [(folder / f"{name}.txt").read_text().split("\n")[:2] for name in ("hyp", "ref1", "ref2")]
    candidates, references = lines[0], [list(several) for several in zip(*lines[1:], strict=True)]
    expected = next(iter(json.loads((folder / "expected.json").read_text()).values()))
    bleu = corpus_bleu_coco(candidates, references).tolist()
    ours = {f"Bleu_{n}": value for n, value in enumerate(bleu, 1)}
    ours["ROUGE_L"] = float(rouge_l_coco(candidates, references).mean())
    ours["CIDEr"] = float(cider_d(candidates, references, DocumentFrequency.of(references)).mean())
    return [
        _difference(name, "nlg-eval", "its worked example", value, expected[name])
        for name, value in ours.items()
    ]


def _authors(context: Context, limit: int) -> list[Difference]:
    """CIDEr v0.1 of 4,000 captions as its authors computed it."""
    given = data.author_scores(context.folder("pascal50s_human_pairs"))
    split = cider_words()
    # The document frequency is that of all 1,000 pictures.
    known = {image: split_all(split, texts) for image, texts in given.references.items()}
    frequency = DocumentFrequency.of(list(known.values()))
    candidates, images = split_all(split, given.candidates[: 4 * limit]), given.images[: 4 * limit]
    references = [known[image] for image in images]
    found = []
    for n in (1, 2, 3, 4):
        ours = in_buckets(
            lambda text, several, n=n: _of_order(n, text, several, frequency), candidates, references
        )
        found.append((f"CIDEr-{n}", ours, given.scores[: 4 * limit, n - 1]))
    ours = in_buckets(lambda text, several: cider(text, several, frequency), candidates, references)
    found.append(("CIDEr", ours, given.scores[: 4 * limit, 4]))
    return [
        _difference(name, "its authors, v0.1", "PASCAL-50S", mine, theirs) for name, mine, theirs in found
    ]


def _of_order(
    n: int, candidates: Sequence[str], references: Sequence[Sequence[str]], frequency: DocumentFrequency
) -> Any:
    """CIDEr of n-grams of one length."""
    metric = Cider(references, frequency)
    norms = metric.vectors.norms.clone()
    norms[..., [order for order in range(4) if order != n - 1]] = 0
    metric.vectors = replace(metric.vectors, norms=norms)
    return 4 * metric.score(candidates)


def _difference(metric: str, other: str, texts: str, ours: Any, theirs: Any) -> Difference:
    mine, others = np.atleast_1d(np.asarray(ours)), np.atleast_1d(np.asarray(theirs))
    if mine.shape != others.shape:
        raise ValueError(f"{metric}: {mine.shape} scores of ours for {others.shape} of {other}")
    return Difference(metric, other, texts, mine.size, float(np.abs(mine - others).max()))


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The largest differences."""
    lines = [
        (
            one["metric"],
            one["other"],
            one["texts"],
            f"{one['count']:,}",
            f"{one['largest']:.1e}{'' if one['met'] else ' differs'}",
        )
        for one in rows
    ]
    columns = ("metric", "compared with", "texts", "scores", "largest difference")
    return Table("Agreement with other implementations", columns, lines)
