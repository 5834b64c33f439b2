"""Training a reward model in the usual way: every answer of every pair with its picture.

The network is ours: only the training differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from feedback.preferences.batches import Answers
from feedback.reward_models.model import RewardModel


@dataclass(frozen=True)
class PlainPairs:
    """Pairs of answers that share their picture.

    Attributes:
        pictures: (m, 3, height, width) uint8.
        tokens: Answers, (a, positions) int64, padded with 0.
        length: Words of each, (a,) int64.
        context: The picture of each answer, (a,) int64.
        first: An answer of each pair, (n,) int64.
        second: The other, (n,) int64.
        target: 1 where the first is preferred, 0 where the second is, 0.5 for a tie, (n,) float32.
    """

    pictures: Tensor
    tokens: Tensor
    length: Tensor
    context: Tensor
    first: Tensor
    second: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.first)


def plain_scores(model: RewardModel, pictures: Tensor, tokens: Tensor, length: Tensor) -> Tensor:
    """Scores (n,) of n pictures with one answer each."""
    context = model.context_encoder({"image": pictures})
    answers = Answers({}, torch.arange(len(tokens)), tokens, length)
    scores: Tensor = model.head(model.reader(context, answers))
    return scores


def pair_loss(model: RewardModel, pairs: PlainPairs, rows: Tensor) -> Tensor:
    """The Bradley-Terry loss of some pairs."""
    answers = torch.cat([pairs.first[rows], pairs.second[rows]])
    pictures = pairs.pictures[pairs.context[answers]]
    scores = plain_scores(model, pictures, pairs.tokens[answers], pairs.length[answers])
    first, second = scores.chunk(2)
    loss: Tensor = nn.functional.binary_cross_entropy_with_logits(first - second, pairs.target[rows])
    return loss


def minibatches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The numbers below a count in random order, some at a time."""
    yield from torch.split(torch.randperm(count, generator=generator), batch)


def train(
    model: RewardModel,
    pairs: PlainPairs,
    optimizer: torch.optim.Optimizer,
    batch: int,
    generator: torch.Generator,
) -> None:
    """One epoch of the plain loop."""
    for rows in minibatches(len(pairs), batch, generator):
        loss = pair_loss(model, pairs, rows)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


@torch.no_grad()
def mean_loss(model: RewardModel, pairs: PlainPairs, batch: int = 256) -> float:
    """The mean loss over all pairs."""
    total = 0.0
    for rows in torch.split(torch.arange(len(pairs)), batch):
        total += float(pair_loss(model, pairs, rows)) * len(rows)
    return total / len(pairs)
