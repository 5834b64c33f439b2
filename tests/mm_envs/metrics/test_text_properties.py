"""Text metrics on sentences that hypothesis thinks of, against their oracles; and what they refuse."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stdout
from itertools import combinations

import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider_scorer import CiderScorer
from rouge_score.rouge_scorer import _lcs_table

from mm_envs.metrics.accuracy import exact_match, token_f1
from mm_envs.metrics.bleu import bleu_coco, corpus_bleu, sentence_bleu
from mm_envs.metrics.cider import cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.ngrams import earlier, ngram_keys, occurrences
from mm_envs.metrics.rouge import common_subsequence, rouge_l_coco, rouge_l_google
from mm_envs.metrics.text import Numbering
from mm_envs.tokenizers import words_first

logging.getLogger("sacrebleu").setLevel(logging.ERROR)

WORDS = st.sampled_from(["a", "b", "c", "dog", "é"])
SENTENCE = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
ANSWER = st.lists(WORDS, max_size=12).map(" ".join)
CORPUS = st.lists(st.tuples(ANSWER, st.lists(SENTENCE, min_size=1, max_size=3)), min_size=1, max_size=5)


@given(CORPUS)
@settings(max_examples=60, deadline=None)
def test_any_sentences_are_scored_as_the_oracles_score_them(corpus: list[tuple[str, list[str]]]) -> None:
    answers, references = [pair[0] for pair in corpus], [pair[1] for pair in corpus]
    oracle = sacrebleu.BLEU(effective_order=True, tokenize="none")
    expected = [oracle.sentence_score(a, r).score for a, r in corpus]
    assert 100 * sentence_bleu(answers, references) == pytest.approx(expected, abs=1e-9)
    with redirect_stdout(io.StringIO()):
        _, each = Bleu(4).compute_score(dict(enumerate(references)), {i: [a] for i, a in enumerate(answers)})
    assert bleu_coco(answers, references).T.tolist() == [pytest.approx(row, abs=1e-12) for row in each]
    scorer = CiderScorer()
    for pair in corpus:
        scorer += pair
    _, scores = scorer.compute_score()
    mine = cider_d(answers, references, DocumentFrequency.of(references))
    assert mine == pytest.approx(scores, abs=1e-7)


@given(st.lists(st.integers(3, 6), max_size=80), st.lists(st.integers(3, 6), max_size=80))
@settings(max_examples=100, deadline=None)
def test_the_common_subsequence_is_that_of_the_table(one: list[int], two: list[int]) -> None:
    expected = _lcs_table(one, two)[-1][-1] if one and two else 0
    pair = torch.tensor([one], dtype=torch.int64), torch.tensor([[two]], dtype=torch.int64)
    assert common_subsequence(*pair).item() == expected
    assert common_subsequence(pair[1][0], pair[0][None]).item() == expected


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=300),
    st.lists(st.integers(0, 4), min_size=1, max_size=300),
)
@settings(max_examples=60, deadline=None)
def test_ngrams_are_counted_as_a_loop_counts_them(mine: list[int], theirs: list[int]) -> None:
    # A word of its own at the end, as the caller gives it; words begin at 3.
    one, two = [word + 3 for word in mine], [word + 3 for word in theirs]
    found = occurrences(torch.tensor([[*one, 0]]), torch.tensor([[two]]))[:, 0, 0]
    before = earlier(torch.tensor([[*one, 0]]))[:, 0]
    for n in (1, 2, 3, 4):
        known = [tuple(two[i : i + n]) for i in range(len(two) - n + 1)]
        for i in range(0, len(one) - n + 1, 7):
            ngram = tuple(one[i : i + n])
            assert found[n - 1, i] == known.count(ngram)
            assert before[n - 1, i] == sum(tuple(one[j : j + n]) == ngram for j in range(i))
        assert (found[n - 1, len(one) - n + 1 :] == 0).all()


def test_keys_of_ngrams_do_not_collide() -> None:
    words = torch.cartesian_prod(*[torch.tensor([2, 3, 255, 256, 2**15, 2**16 - 1])] * 4)
    for exact in (True, False):
        keys = torch.cat([ngram_keys(words, exact)[:, n, 0] for n in range(4)])
        ngrams = {tuple(row[: n + 1]) for row in words.tolist() for n in range(4)}
        assert len(keys.unique()) == len(ngrams)
        assert not ((keys == 0) | (keys == 1)).any()


def test_references_are_a_set_and_more_of_them_never_hurt_bleu() -> None:
    texts = ["a dog runs on grass", "the brown dog runs", "a big brown dog is on the grass"]
    answer = ["a brown dog runs on the grass"]
    last = 0.0
    for size in (1, 2, 3):
        for several in combinations(texts, size):
            one, other = [list(several)], [list(reversed(several))]
            assert sentence_bleu(answer, one).item() == sentence_bleu(answer, other).item()
            assert rouge_l_coco(answer, one).item() == rouge_l_coco(answer, other).item()
            assert rouge_l_google(answer, one) == max(rouge_l_google(answer, [[text]]) for text in several)
        score = corpus_bleu(answer, [texts[:size]], smoothing="none", max_order=2)
        assert score >= last
        last = score


def test_a_reference_is_its_own_best_answer() -> None:
    references = [["a dog runs on grass"], ["two cats sleep in the sun"], ["one man rides a horse"]]
    answers = [several[0] for several in references]
    frequency = DocumentFrequency.of(references)
    assert sentence_bleu(answers, references).tolist() == [1, 1, 1]
    assert rouge_l_google(answers, references).tolist() == [1, 1, 1]
    assert rouge_l_coco(answers, references) == pytest.approx([1, 1, 1])
    assert cider(answers, references, frequency) == pytest.approx([1, 1, 1])
    assert cider_d(answers, references, frequency) == pytest.approx([10, 10, 10])


def test_an_empty_batch_has_no_scores() -> None:
    nothing, no_references = torch.zeros(0, 5, dtype=torch.int64), torch.zeros(0, 2, 5, dtype=torch.int64)
    frequency = DocumentFrequency.of(torch.tensor([[[3, 4]], [[5, 6]]]))
    assert sentence_bleu(nothing, no_references).shape == (0,)
    assert rouge_l_coco(nothing, no_references).shape == (0,)
    assert cider_d(nothing, no_references, frequency).shape == (0,)
    assert sentence_bleu([], []).shape == (0,)
    for metric in (sentence_bleu, rouge_l_coco, rouge_l_google):
        assert metric(["a dog", ""], [[], [""]]).tolist() == [0, 0]


def test_strings_and_tokens_are_matched_alike() -> None:
    answers, references = ["a red dog", "", "a a b", "dog"], ["a dog red", "", "a b b", "cat"]
    numbering = Numbering()
    ids = numbering.encode(list(zip(answers, references, strict=True)))
    assert torch.equal(exact_match(answers, references), exact_match(ids[:, 0], ids[:, 1]))
    assert torch.equal(token_f1(answers, references), token_f1(ids[:, 0], ids[:, 1], len(numbering)))
    assert token_f1(answers, references).tolist() == pytest.approx([1, 1, 2 / 3, 0])
    assert exact_match(answers, references).tolist() == [False, True, False, False]


def test_words_come_before_the_end() -> None:
    tokens = torch.tensor([[[3, 0, 4, 1, 5], [0, 0, 0, 0, 0]], [[1, 3, 3, 3, 3], [3, 3, 3, 3, 3]]])
    expected = [[[3, 4, 0, 0, 0], [0, 0, 0, 0, 0]], [[0, 0, 0, 0, 0], [3, 3, 3, 3, 3]]]
    assert words_first(tokens).tolist() == expected


@given(
    st.lists(st.lists(st.sampled_from([0, 0, 1, 3, 4, 5]), min_size=7, max_size=7), min_size=1, max_size=4)
)
@settings(max_examples=100, deadline=None)
def test_words_are_those_of_a_loop(rows: list[list[int]]) -> None:
    def words_of(row: list[int]) -> list[int]:
        words = [word for word in row[: [*row, 1].index(1)] if word]
        return words + [0] * (7 - len(words))

    assert words_first(torch.tensor(rows)).tolist() == [words_of(row) for row in rows]
    assert [words_first(torch.tensor(row)).tolist() for row in rows] == [words_of(row) for row in rows]


def test_what_does_not_fit_is_refused_in_one_sentence() -> None:
    tokens = torch.tensor([[3, 4]])
    with pytest.raises(ValueError, match="not of one kind"):
        sentence_bleu(tokens, [["a dog"]])
    with pytest.raises(ValueError, match=r"give .n, L. and .n, R, any length. with R at least 1"):
        sentence_bleu(tokens, torch.zeros(1, 0, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="2 answers and references for 1"):
        rouge_l_coco(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="smoothing='most' is not one of"):
        sentence_bleu(tokens, tokens, smoothing="most")
    with pytest.raises(ValueError, match="max_order=0"):
        corpus_bleu(tokens, tokens, max_order=0)
    with pytest.raises(ValueError, match=r"references\[0\]='a dog' is one string"):
        sentence_bleu(["a"], ["a dog"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="tokenizer='moses' is not one of"):
        sentence_bleu(["a"], [["a"]], tokenizer="moses")
    with pytest.raises(ValueError, match="not of one kind"):
        token_f1(["a"], tokens)
    with pytest.raises(ValueError, match="2 answers and references for 1"):
        exact_match(["a", "b"], ["a"])
