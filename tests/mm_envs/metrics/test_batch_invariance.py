"""A score is equal bit for bit in every batch and with any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from sentences import numbered, sentences
from torch import Tensor

from mm_envs.metrics.arithmetic import exponential, root
from mm_envs.metrics.bleu import bleu_coco, sentence_bleu
from mm_envs.metrics.cider import CiderD, cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google

Metric = Callable[[Tensor, Tensor], Tensor]

N = 700
ANSWERS, REFERENCES = sentences(11, N, words=7, longest=14)
# One long answer: the others must not notice its padding.
ANSWERS[13] = " ".join(ANSWERS[:20])
RESPONSE, KNOWN = numbered(ANSWERS, REFERENCES)
FREQUENCY = DocumentFrequency.of(KNOWN)

METRICS: dict[str, Metric] = {
    "bleu": sentence_bleu,
    "bleu add-k": lambda a, b: sentence_bleu(a, b, smoothing="add-k"),
    "bleu of three words": lambda a, b: sentence_bleu(a, b, max_order=3, effective_order=False),
    "bleu coco": bleu_coco,
    "rouge google": rouge_l_google,
    "rouge coco": rouge_l_coco,
    "cider": lambda a, b: cider(a, b, FREQUENCY),
    "cider_d": lambda a, b: cider_d(a, b, FREQUENCY),
}


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole() -> dict[str, Tensor]:
    return {name: metric(RESPONSE, KNOWN) for name, metric in METRICS.items()}


@pytest.mark.parametrize("name", METRICS)
def test_any_part_of_a_batch_has_the_scores_of_the_whole(
    name: str, threads: int, whole: dict[str, Tensor]
) -> None:
    generator = torch.Generator().manual_seed(threads)
    for size in (1, 1, 1, 2, 3, 7, 64, 500, N):
        rows = torch.randperm(N, generator=generator)[:size]
        part = METRICS[name](RESPONSE[rows], KNOWN[rows])
        assert torch.equal(part, whole[name][rows]), size
    assert len(whole[name].unique()) > 50


@pytest.mark.parametrize("name", METRICS)
def test_padding_and_absent_references_change_nothing(name: str, whole: dict[str, Tensor]) -> None:
    wide = torch.nn.functional.pad(RESPONSE, (0, 5))
    more = torch.nn.functional.pad(KNOWN, (0, 9, 0, 3))
    assert torch.equal(METRICS[name](wide, more), whole[name])


def test_prepared_references_give_equal_scores(whole: dict[str, Tensor]) -> None:
    kept = CiderD(KNOWN, FREQUENCY)
    items = torch.randint(N, (2 * N,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(kept.score(RESPONSE[items], items), whole["cider_d"][items])
    assert torch.equal(kept.score(RESPONSE), whole["cider_d"])
    crossed = kept.score(RESPONSE[:50], torch.zeros(50, dtype=torch.int64))
    assert torch.equal(crossed, cider_d(RESPONSE[:50], KNOWN[:1].expand(50, -1, -1), FREQUENCY))


def test_any_vocabulary_gives_the_same_scores(whole: dict[str, Tensor]) -> None:
    # Above 2**16 token ids keys are hashes instead of the n-grams themselves.
    for offset in (100, 2**15, 2**16, 2**40):
        large = [torch.where(tokens > 0, tokens + offset, 0) for tokens in (RESPONSE, KNOWN)]
        frequency = DocumentFrequency.of(large[1])
        assert frequency.exact == (offset < 2**16)
        assert torch.equal(cider_d(*large, frequency), whole["cider_d"])
        assert torch.equal(sentence_bleu(*large), whole["bleu"])
        assert torch.equal(rouge_l_coco(*large), whole["rouge coco"])


def test_arithmetic_is_equal_in_any_batch_and_right() -> None:
    values = torch.rand(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = torch.cat([values, values**9, torch.tensor([0.0, 1.0], dtype=torch.float64)])
    for degree in (1, 2, 3, 4):
        degrees = torch.full(values.shape, degree)
        found = root(values, degrees)
        assert torch.allclose(found, values ** (1 / degree), rtol=1e-14, atol=0)
        alone = [root(values[i : i + 1], degrees[i : i + 1]) for i in range(0, len(values), 97)]
        assert torch.equal(torch.cat(alone), found[::97])
    exponents = -800 * values**3
    found = exponential(exponents)
    assert torch.allclose(found[exponents > -700], exponents[exponents > -700].exp(), rtol=1e-13, atol=0)
    assert (found[exponents < -700] == 0).all()
    assert torch.equal(torch.cat([exponential(one[None]) for one in exponents[::97]]), found[::97])
