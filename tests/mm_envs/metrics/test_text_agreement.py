"""Text metrics against the public implementations of their definitions."""

from __future__ import annotations

import io
import json
import logging
from contextlib import redirect_stdout
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sentences import babbled, numbered, sentences
from shared_data import shared

from mm_envs.metrics.bleu import SMOOTHINGS, bleu_coco, corpus_bleu, corpus_bleu_coco, sentence_bleu
from mm_envs.metrics.cider import cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google
from mm_envs.metrics.text import tokenize_13a, tokenize_alphanumeric

logging.getLogger("sacrebleu").setLevel(logging.ERROR)

# Short sentences with every length below the longest n-gram, and long ones that fill several words of bits.
CASES = [(0, 150, 6, 9), (1, 60, 3, 40), (2, 12, 5, 90)]


def by_item(texts: list[Any]) -> dict[int, Any]:
    return dict(enumerate(texts))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("effective", [True, False])
def test_bleu_is_that_of_sacrebleu(case: tuple[int, ...], smoothing: str, effective: bool) -> None:
    answers, references = sentences(*case)
    streams = [[r[i] if i < len(r) else None for r in references] for i in range(max(map(len, references)))]
    for order in (1, 3, 4):
        oracle = sacrebleu.BLEU(
            smooth_method=smoothing, effective_order=effective, max_ngram_order=order, tokenize="none"
        )
        expected = [oracle.sentence_score(a, r).score for a, r in zip(answers, references, strict=True)]
        same = {"smoothing": smoothing, "effective_order": effective, "max_order": order}
        assert 100 * sentence_bleu(answers, references, **same) == pytest.approx(expected, abs=1e-9)
        corpus = oracle.corpus_score(answers, streams).score
        assert 100 * corpus_bleu(answers, references, **same) == pytest.approx(corpus, abs=1e-9)


@pytest.mark.parametrize("value", [0.01, 3.0])
def test_values_of_smoothing_are_those_of_sacrebleu(value: float) -> None:
    answers, references = sentences(3, 60)
    for name in ("floor", "add-k"):
        oracle = sacrebleu.BLEU(smooth_method=name, smooth_value=value, effective_order=True)
        expected = [oracle.sentence_score(a, r).score for a, r in zip(answers, references, strict=True)]
        mine = sentence_bleu(answers, references, smoothing=name, smoothing_value=value)
        assert 100 * mine == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_bleu_of_coco_is_that_of_pycocoevalcap(case: tuple[int, ...]) -> None:
    answers, references = sentences(*case)
    with redirect_stdout(io.StringIO()):
        corpus, each = Bleu(4).compute_score(by_item(references), by_item([[a] for a in answers]))
    assert bleu_coco(answers, references).T.tolist() == pytest.approx(np.array(each), abs=1e-12)
    assert corpus_bleu_coco(answers, references).tolist() == pytest.approx(corpus, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_both_rouge_l_are_those_of_their_packages(case: tuple[int, ...]) -> None:
    answers, references = sentences(*case)
    _, coco = Rouge().compute_score(by_item(references), by_item([[a] for a in answers]))
    assert rouge_l_coco(answers, references) == pytest.approx(coco, abs=1e-12)
    oracle = RougeScorer(["rougeL"])
    google = [
        max(oracle.score(reference, answer)["rougeL"].fmeasure for reference in several)
        for answer, several in zip(answers, references, strict=True)
    ]
    mine = rouge_l_google(answers, references, tokenizer="alphanumeric")
    assert mine == pytest.approx(google, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_cider_d_is_that_of_pycocoevalcap(case: tuple[int, ...]) -> None:
    answers, references = sentences(*case)
    answers[0] += " unheard of words"
    scorer = CiderScorer()
    for answer, several in zip(answers, references, strict=True):
        scorer += (answer, several)
    mean, each = scorer.compute_score()
    mine = cider_d(answers, references, DocumentFrequency.of(references))
    assert mine == pytest.approx(each, abs=1e-8)
    assert mean > 0.01


def test_the_worked_example_of_nlg_eval() -> None:
    folder = shared("caption_metric_yardsticks") / "nlg-eval"
    lines = {name: (folder / f"{name}.txt").read_text().split("\n")[:2] for name in ("hyp", "ref1", "ref2")}
    expected = next(
        value
        for value in json.loads((folder / "expected.json").read_text()).values()
        if isinstance(value, dict) and "CIDEr" in value
    )
    references = [list(pair) for pair in zip(lines["ref1"], lines["ref2"], strict=True)]
    bleu = corpus_bleu_coco(lines["hyp"], references)
    for n in range(4):
        assert bleu[n] == pytest.approx(expected[f"Bleu_{n + 1}"], abs=1e-5)
    assert rouge_l_coco(lines["hyp"], references).mean() == pytest.approx(expected["ROUGE_L"], abs=1e-5)
    mine = cider_d(lines["hyp"], references, DocumentFrequency.of(references))
    assert mine.mean() == pytest.approx(expected["CIDEr"], abs=1e-5)


@pytest.mark.slow
def test_cider_is_that_of_its_authors_on_pascal_50s() -> None:
    import re

    import scipy.io
    from nltk.stem import PorterStemmer

    folder = shared("pascal50s_human_pairs")
    stem = lru_cache(maxsize=None)(PorterStemmer(mode=PorterStemmer.MARTIN_EXTENSIONS).stem)
    # The authors' tokens: words with what clings to them, up to the next mark or space.
    token = re.compile(r"\w+[^./ ; )(,\"'t \-!:?]*", re.ASCII)

    def words(text: str) -> str:
        return " ".join(stem(word) for word in token.findall(text.lower()))

    def read(name: str) -> Any:
        return scipy.io.loadmat(folder / name, squeeze_me=True, struct_as_record=False)

    known = {one.image: [words(text) for text in one.sent] for one in read("pascal50S.mat")["refs"]}
    candidates = read("pascal_single.mat")["cands"]
    frequency = DocumentFrequency.of(known.values())
    answers = [words(one.sent) for one in candidates]
    mine = cider(answers, [known[one.image] for one in candidates], frequency)
    theirs = read("cider_pascal.mat")["scr"][4]
    assert len(theirs) == 4000
    assert np.abs(mine.numpy() - theirs).max() < 1e-6


@given(st.text(alphabet="ab09 .,-'\"&;<>$%()\n\t~_é", max_size=40))
@settings(max_examples=300, deadline=None)
def test_tokenizers_are_those_of_sacrebleu_and_rouge_score(text: str) -> None:
    assert " ".join(tokenize_13a(text)) == Tokenizer13a()(text.rstrip())
    assert tokenize_alphanumeric(text) == tokenize(text, None)


@pytest.mark.parametrize(
    "text", ["&quot;a&quot; &amp;lt;b <skipped>", "well-\nknown\nthing", "1,000.5 -3-4."]
)
def test_entities_and_line_ends_are_treated_as_by_sacrebleu(text: str) -> None:
    assert " ".join(tokenize_13a(text)) == Tokenizer13a()(text)


def test_sacrebleu_with_its_own_tokenizer() -> None:
    answers = ['The dog, 3.5 years old, runs "fast".', "A cat-like (small) animal; it sleeps!"]
    references = [
        ['The dog is 3.5 years old: it runs "fast".'],
        ["A small, cat-like animal sleeps!", "It sleeps."],
    ]
    oracle = sacrebleu.BLEU(effective_order=True)
    expected = [oracle.sentence_score(a, r).score for a, r in zip(answers, references, strict=True)]
    assert 100 * sentence_bleu(answers, references, tokenizer="13a") == pytest.approx(expected, abs=1e-9)


def metrics(frequency: DocumentFrequency) -> dict[str, Any]:
    return {
        "bleu": sentence_bleu,
        "bleu_coco": bleu_coco,
        "rouge_google": rouge_l_google,
        "rouge_coco": rouge_l_coco,
        "cider": lambda response, references: cider(response, references, frequency),
        "cider_d": lambda response, references: cider_d(response, references, frequency),
    }


def test_strings_and_tokens_are_scored_alike() -> None:
    answers, references = sentences(5, 80)
    response, known = numbered(answers, references)
    # The same words in the same order of their numbers.
    of_strings, of_tokens = metrics(DocumentFrequency.of(references)), metrics(DocumentFrequency.of(known))
    for name, metric in of_strings.items():
        expected = metric(answers, references)
        assert torch.equal(of_tokens[name](response, known), expected), name
        assert torch.equal(of_tokens[name](babbled(response, 0), known), expected), name
        assert expected.max() > 0.1
