"""Long texts: the two ways of each metric agree, and one pair takes no longer than a loop in plain Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import _lcs_table
from torch import Tensor

from mm_envs.metrics import ngrams
from mm_envs.metrics.accuracy import exact_match, token_f1
from mm_envs.metrics.bleu import bleu_coco, sentence_bleu
from mm_envs.metrics.cider import cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.ngrams import compared, earlier, occurrences
from mm_envs.metrics.rouge import _by_additions, _by_maxima, common_subsequence, rouge_l_coco, rouge_l_google

SLACK = 3
"""How many times as long as the loop a metric may take here: other processes share the machine."""

FREQUENCY = DocumentFrequency.of([["w1 w2 w3 w4"], ["w3 w4 w5"]])

METRICS: dict[str, Callable[[Sequence[str], Sequence[Sequence[str]]], Tensor]] = {
    "bleu": sentence_bleu,
    "bleu_coco": bleu_coco,
    "cider": lambda one, other: cider(one, other, FREQUENCY),
    "cider_d": lambda one, other: cider_d(one, other, FREQUENCY),
    "rouge_l_google": rouge_l_google,
    "rouge_l_coco": rouge_l_coco,
    "token_f1": lambda one, other: token_f1(one, [several[0] for several in other]),
    "exact_match": lambda one, other: exact_match(one, [several[0] for several in other]),
}


def text(words: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(words // 5 + 20)}" for _ in range(words))


def batch(draw: random.Random, shape: tuple[int, ...]) -> Tensor:
    """Random words first, zeros behind them."""
    generator = torch.Generator().manual_seed(draw.randrange(2**32))
    words = torch.randint(3, draw.choice((5, 9, 99)), shape, generator=generator)
    sizes = torch.randint(shape[-1] + 1, shape[:-1], generator=generator)
    return words * (torch.arange(shape[-1]) < sizes[..., None])


@given(st.randoms(use_true_random=False), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_both_ways_give_one_common_subsequence(draw: random.Random, n: int, several: int) -> None:
    words = batch(draw, (n, draw.randint(1, 140)))
    references = batch(draw, (n, several, draw.randint(1, 140)))
    others = compared(references)
    found = common_subsequence(words, references)
    assert torch.equal(_by_maxima(words, others), found)
    assert np.array_equal(_by_additions(words.numpy(), others.numpy()), found)
    for row in range(n):
        one, two = (list(filter(None, ids.tolist())) for ids in (words[row], references[row, -1]))
        assert found[row, -1] == _lcs_table(one, two)[-1][-1]


def test_the_common_subsequence_of_long_texts_is_that_of_the_table() -> None:
    draw = random.Random(0)
    for size in (255, 256, 257, 700):
        one, two = ([draw.randrange(3, 40) for _ in range(size)] for _ in range(2))
        found = common_subsequence(torch.tensor([one]), torch.tensor([[two, two[::-1]]]))
        assert found.tolist() == [[_lcs_table(one, known)[-1][-1] for known in (two, two[::-1])]]


@given(st.randoms(use_true_random=False), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_ranks_count_ngrams_as_the_table_does(draw: random.Random, n: int, several: int, orders: int) -> None:
    words = torch.nn.functional.pad(batch(draw, (n, draw.randint(3, 60))), (0, 1))
    among = batch(draw, (n, several, draw.randint(1, 60)))
    table = occurrences(words, among, orders), earlier(words, orders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "_LARGEST_TABLE", 0)
        ranks = occurrences(words, among, orders), earlier(words, orders)
    assert all(map(torch.equal, table, ranks))


@pytest.mark.parametrize("name", [name for name in METRICS if name not in ("token_f1", "exact_match")])
def test_long_texts_have_equal_scores_alone_in_a_batch_and_as_a_table(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [text(size, size) for size in (2, 400, 9, 700, 380)]
    references = [
        [text(size, size + 1), answer] for size, answer in zip((900, 400, 3, 20, 5), answers, strict=True)
    ]
    whole = METRICS[name](answers, references)
    alone = [METRICS[name]([answer], [known]) for answer, known in zip(answers, references, strict=True)]
    assert torch.equal(torch.cat(alone), whole)
    monkeypatch.setattr(ngrams, "_LARGEST_TABLE", 2**62)
    assert torch.equal(METRICS[name](answers, references), whole)


def test_nothing_has_no_scores_as_texts_either() -> None:
    assert token_f1([], []).shape == exact_match([], []).shape == (0,)


def test_an_empty_batch_of_long_texts_has_no_scores() -> None:
    words, references = torch.zeros(0, 900, dtype=torch.int64), torch.zeros(0, 2, 900, dtype=torch.int64)
    for metric in (sentence_bleu, rouge_l_coco, lambda one, other: cider_d(one, other, FREQUENCY)):
        assert metric(words, references).shape == (0,)


def plain_subsequence(one: str, other: str) -> int:
    known = other.split()
    row = [0] * (len(known) + 1)
    for word in one.split():
        before, row = row, [0]
        for j, other_word in enumerate(known):
            row.append(before[j] + 1 if word == other_word else max(before[j + 1], row[-1]))
    return row[-1]


def plain_ngrams(one: str, other: str) -> int:
    """What BLEU and CIDEr take at least: the counts of n-grams, clipped."""
    counts = []
    for words in (one.split(), other.split()):
        counts.append(
            Counter(tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1))
        )
    return sum(min(count, counts[1][ngram]) for ngram, count in counts[0].items())


def plain_words(one: str, other: str) -> int:
    return sum((Counter(one.split()) & Counter(other.split())).values())


PLAIN = {
    "rouge": plain_subsequence,
    "bleu": plain_ngrams,
    "cider": plain_ngrams,
    "token": plain_words,
    "exact": plain_words,
}


def shortest(call: Callable[..., Any], *arguments: Any) -> float:
    """The shortest of up to ten times in seconds."""
    times: list[float] = []
    while len(times) < 10 and sum(times) < 0.2:
        start = perf_counter()
        call(*arguments)
        times.append(perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("name", METRICS)
def test_one_long_pair_takes_no_longer_than_a_loop(name: str) -> None:
    one, other = text(1000, 1), text(1000, 2)
    plain = shortest(PLAIN[name.split("_")[0]], one, other)
    assert shortest(METRICS[name], [one], [[other]]) < SLACK * plain


@pytest.mark.parametrize("name", METRICS)
def test_4000_words_take_less_than_five_seconds(name: str) -> None:
    start = perf_counter()
    METRICS[name]([text(4000, 1)], [[text(4000, 2)]])
    assert perf_counter() - start < 5
