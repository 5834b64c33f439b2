"""Batches that are scored in parts: the same bits as row by row, whatever is empty."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mm_envs.metrics.bleu import bleu_coco, sentence_bleu
from mm_envs.metrics.cider import cider, cider_d
from mm_envs.metrics.frequency import DocumentFrequency
from mm_envs.metrics.ngrams import by_rows
from mm_envs.metrics.rouge import rouge_l_coco, rouge_l_google

ROWS = 1500


def _sentences(shape: tuple[int, ...], generator: torch.Generator, spread: float) -> Tensor:
    """Random words; the length of a sentence is spread out between nothing and all."""
    tokens = torch.randint(3, 9, shape, generator=generator)
    part = torch.rand(shape[:-1], generator=generator) ** spread
    return tokens * (torch.arange(shape[-1]) < (part * (shape[-1] + 1)).long()[..., None])


def _batch(spread: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    response, references = (
        _sentences((ROWS, 23), generator, spread),
        _sentences((ROWS, 4, 19), generator, spread),
    )
    references[::7] = 0
    return response, references


@pytest.mark.parametrize("spread", [1.0, 30.0])  # few empty sentences, or hardly any other
@pytest.mark.parametrize("name", ["bleu", "bleu_coco", "rouge", "rouge_coco", "cider", "cider_d"])
def test_parts_are_equal_to_single_rows(name: str, spread: float) -> None:
    response, references = _batch(spread)
    frequency = DocumentFrequency.of(references)
    score: Callable[[Tensor, Tensor], Tensor] = {
        "bleu": sentence_bleu,
        "bleu_coco": bleu_coco,
        "rouge": rouge_l_google,
        "rouge_coco": rouge_l_coco,
        "cider": lambda one, other: cider(one, other, frequency),
        "cider_d": lambda one, other: cider_d(one, other, frequency),
    }[name]
    whole = score(response, references)
    for row in range(0, ROWS, 61):
        assert torch.equal(whole[row : row + 1], score(response[row : row + 1], references[row : row + 1]))


def test_these_batches_are_scored_in_parts() -> None:
    parts: list[int] = []

    def score(words: Tensor, references: Tensor) -> Tensor:
        parts.append(len(words))
        return words.sum(1)

    response, references = _batch(1.0)
    assert torch.equal(by_rows(score, response, references), response.sum(1))
    assert len(parts) > 1
    assert sum(parts) == ROWS
