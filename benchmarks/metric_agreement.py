"""``mm-envs bench metrics``: our text metrics beside the public implementations, their authors, and people.

Differences are absolute and on the scale of the other implementation: 0 to 100 for sacrebleu, 0 to 10 for
CIDEr-D, 0 to 1 for the others. Every reference has a word: to us one without words is absent, the others take
it for an empty text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks import human_agreement, metric_oracles
from benchmarks import human_judgements as people
from benchmarks.caption_words import cider_words, simple_words
from benchmarks.human_agreement import in_buckets, split_all
from benchmarks.reports import Options, Report, Table
from mm_envs.metrics.bleu import bleu_coco, corpus_bleu, corpus_bleu_coco, sentence_bleu
from mm_envs.metrics.cider import Cider, cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google

BAR = 1e-4
SACREBLEU_SCALE = 100

Scores: TypeAlias = "NDArray[np.float64]"
Rows: TypeAlias = "Iterator[tuple[str, str, Any, Any]]"

_ALPHABET = "abAB09 .,-'\"&<>;:!?/()[]{}~@$%éß\u00a0語"
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
    """How far our scores are from those of somebody else.

    Attributes:
        metric: The metric.
        other: Whose scores they are compared with.
        texts: What was scored.
        count: How many scores.
        largest: The largest absolute difference.
    """

    metric: str
    other: str
    texts: str
    count: int
    largest: float

    @property
    def met(self) -> bool:
        """Whether it is within the bar."""
        return self.largest <= BAR


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """``mm-envs bench metrics``: agreement with other implementations, authors' scores and people."""
    found: list[Difference] = []
    for texts in _all_texts(options, progress):
        progress(f"public implementations on {texts.name}")
        found += differences(texts)
    progress("the worked example of nlg-eval")
    found += _worked_example(options)
    progress("the scores of the authors of CIDEr")
    found += _authors(options)
    agreed = human_agreement.measure(options, progress)
    said = (
        "differences are absolute, in the other side's units: sacrebleu 0-100, CIDEr-D 0-10, others 0-1",
        f"bar of a difference: {BAR:g}",
        "agreement with people: reported are the numbers of pycocoevalcap 1.2 on the same files; "
        f"bar {human_agreement.BAR} points",
    )
    return Report(
        met=all(one.met for one in found) and all(one.met for one in agreed),
        shown=(_table(found), human_agreement.table(agreed)),
        said=said,
        values={
            "differences": [{**asdict(one), "met": one.met} for one in found],
            "people": [{**asdict(one), "expected": one.expected, "met": one.met} for one in agreed],
        },
    )


def differences(texts: Texts) -> list[Difference]:
    """Our metrics beside sacrebleu, rouge-score and pycocoevalcap."""
    compared = [*_as_written(texts), *_in_words(texts)]
    return [_difference(metric, other, texts.name, ours, theirs) for metric, other, ours, theirs in compared]


def random_words(generator: np.random.Generator, number: int, references: int = 5) -> Texts:
    """Random words of a small vocabulary: empty, short, long, repeating and literally repeated captions."""
    known = []
    for _ in range(number):
        several = generator.integers(1, references, endpoint=True)
        known.append([_random_text(generator, least=1) for _ in range(several)])
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
    # One letter at least, lest a reference have no words.
    references = [[draw() + " a" for _ in range(generator.integers(1, 4))] for _ in range(number)]
    return replace(texts, references=references)


def _random_text(generator: np.random.Generator, least: int = 0) -> str:
    words = generator.integers(2, 12)
    length = max(least, int(generator.choice(_LENGTHS)))
    # A long one now and then: longer than what fits into a byte.
    length = 300 if generator.random() < 0.005 else length
    return " ".join("abcdefghijkl"[word] for word in generator.integers(words, size=length))


def _all_texts(options: Options, progress: Callable[[str], None]) -> list[Texts]:
    most = 20 if options.quick else 1000
    progress("reading captions")
    # Every expert gives a score: each caption stands there three times.
    flickr = people.flickr8k_expert(options.folder("flickr8k_human_judgements"))
    candidates, references = flickr.candidates[: 3 * most : 3], flickr.references[: 3 * most : 3]
    rated = people.thumb(options.folder("thumb_mscoco_ratings"))
    sounds = people.fense(options.folder("fense_audiocaps_eval"))
    pairs = people.pascal50s(options.folder("pascal50s_human_pairs"), 50)
    generator = np.random.default_rng(0)
    return [
        Texts("Flickr8k, 5 references", candidates, references),
        Texts("Flickr8k, 1 reference", candidates, [texts[:1] for texts in references]),
        Texts("THumB, 4 references", rated.candidates[:most], rated.references[:most]),
        Texts("AudioCaps-Eval, 1 to 5 references", sounds.first[:most], sounds.references[:most]),
        Texts("PASCAL-50S, 50 references", pairs.first[: most // 5], pairs.references[: most // 5]),
        random_words(generator, most),
        random_characters(generator, most),
    ]


def _as_written(texts: Texts) -> Rows:
    """Metrics that split texts themselves."""
    candidates, references = texts.candidates, texts.references
    for tokenizer, theirs in (("13a", "13a"), ("whitespace", "none")):
        name = f"BLEU, {tokenizer}"
        yield (
            f"{name}, sentences",
            "sacrebleu",
            SACREBLEU_SCALE * _bucketed(sentence_bleu, texts, tokenizer=tokenizer),
            metric_oracles.sacrebleu_sentences(candidates, references, theirs),
        )
        yield (
            f"{name}, corpus",
            "sacrebleu",
            SACREBLEU_SCALE * corpus_bleu(candidates, references, tokenizer=tokenizer),
            metric_oracles.sacrebleu_corpus(candidates, references, theirs),
        )
    yield (
        "ROUGE-L (Google)",
        "rouge-score",
        _bucketed(rouge_l_google, texts, tokenizer="alphanumeric"),
        metric_oracles.google_rouge_l(candidates, references),
    )


def _in_words(texts: Texts) -> Rows:
    """Metrics of texts whose words stand apart."""
    candidates = split_all(simple_words, texts.candidates)
    references = [split_all(simple_words, known) for known in texts.references]
    words = Texts(texts.name, candidates, references)
    corpus, sentences = metric_oracles.coco_bleu(candidates, references)
    yield "BLEU-1 to 4 (COCO), sentences", "pycocoevalcap", _bucketed(bleu_coco, words).T, sentences
    ours = corpus_bleu_coco(candidates, references).numpy()
    yield "BLEU-1 to 4 (COCO), corpus", "pycocoevalcap", ours, corpus
    theirs = metric_oracles.coco_rouge_l(candidates, references)
    yield "ROUGE-L (COCO)", "pycocoevalcap", _bucketed(rouge_l_coco, words), theirs
    frequency = DocumentFrequency.of(references)
    theirs = metric_oracles.coco_cider_d(candidates, references)
    yield "CIDEr-D", "pycocoevalcap", _bucketed(cider_d, words, frequency=frequency), theirs


def _bucketed(score: Callable[..., Any], texts: Texts, **arguments: Any) -> Scores:
    return in_buckets(lambda mine, known: score(mine, known, **arguments), texts.candidates, texts.references)


def _worked_example(options: Options) -> list[Difference]:
    """Two sentences with two references each, and what nlg-eval's own tests expect; words as they stand."""
    folder = options.folder("caption_metric_yardsticks") / "nlg-eval"
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


def _authors(options: Options) -> list[Difference]:
    """CIDEr v0.1 of 4,000 captions as its authors computed it."""
    given = people.author_scores(options.folder("pascal50s_human_pairs"))
    most = 40 if options.quick else None
    split = cider_words()
    # The document frequency is that of all 1,000 pictures.
    known = {image: split_all(split, texts) for image, texts in given.references.items()}
    frequency = DocumentFrequency.of(list(known.values()))
    candidates, images = split_all(split, given.candidates[:most]), given.images[:most]
    references = [known[image] for image in images]
    found = []
    for n in (1, 2, 3, 4):
        ours = in_buckets(
            lambda text, several, n=n: _of_order(n, text, several, frequency), candidates, references
        )
        found.append((f"CIDEr-{n}", ours, given.scores[:most, n - 1]))
    ours = in_buckets(lambda text, several: cider(text, several, frequency), candidates, references)
    found.append(("CIDEr", ours, given.scores[:most, 4]))
    return [
        _difference(name, "its authors, v0.1", "PASCAL-50S", mine, theirs) for name, mine, theirs in found
    ]


def _of_order(
    n: int, candidates: Sequence[str], references: Sequence[Sequence[str]], frequency: DocumentFrequency
) -> Any:
    """CIDEr of n-grams of one length: vectors of the other lengths are without weight."""
    judge = Cider(references, frequency)
    norms = judge.vectors.norms.clone()
    norms[..., [order for order in range(4) if order != n - 1]] = 0
    judge.vectors = replace(judge.vectors, norms=norms)
    return 4 * judge.score(candidates)


def _difference(metric: str, other: str, texts: str, ours: Any, theirs: Any) -> Difference:
    mine, others = np.atleast_1d(np.asarray(ours)), np.atleast_1d(np.asarray(theirs))
    if mine.shape != others.shape:
        raise ValueError(f"{metric}: {mine.shape} scores of ours for {others.shape} of {other}")
    return Difference(metric, other, texts, mine.size, float(np.abs(mine - others).max()))


def _table(found: Sequence[Difference]) -> Table:
    rows = [
        (
            one.metric,
            one.other,
            one.texts,
            f"{one.count:,}",
            f"{one.largest:.1e}",
            "met" if one.met else "MISSED",
        )
        for one in found
    ]
    return Table(
        "Agreement with others", ("metric", "other", "texts", "scores", "largest difference", ""), rows
    )
