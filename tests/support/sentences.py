"""Random sentences for tests of text metrics, and token ids of them."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from mm_envs.metrics.text import Numbering


def sentences(
    seed: int, items: int, words: int = 8, longest: int = 9, references: int = 5
) -> tuple[list[str], list[list[str]]]:
    """Answers and references of few words, so that n-grams of all orders are repeated and shared."""
    draw = random.Random(seed)

    def sentence() -> str:
        return " ".join(f"w{draw.randrange(words)}" for _ in range(draw.randint(1, longest)))

    known = [[sentence() for _ in range(draw.randint(1, references))] for _ in range(items)]
    answers = [draw.choice((sentence(), draw.choice(several) + " " + sentence())) for several in known]
    return answers, known


def numbered(answers: list[str], references: list[list[str]]) -> tuple[Tensor, Tensor]:
    numbering = Numbering()
    return numbering.encode([[text] for text in answers])[:, 0], numbering.encode(references)


def babbled(words: Tensor, seed: int) -> Tensor:
    """The same answers with padding between the words, ``<eos>`` behind them, and noise behind that."""
    generator = torch.Generator().manual_seed(seed)
    n, length = words.shape
    room = torch.zeros((n, 2 * length + 3), dtype=torch.int64)
    for row in range(n):
        index = 0
        for word in words[row][words[row] > 0].tolist():
            index += int(torch.randint(2, (), generator=generator)) if index < length else 0
            room[row, index] = word
            index += 1
        room[row, index] = 1
        room[row, index + 1 :] = torch.randint(9, (2 * length + 2 - index,), generator=generator)
    return room
