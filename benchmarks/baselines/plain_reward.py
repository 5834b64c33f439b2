"""A reward model as it is usually written: one picture and one answer in, one number out, in plain PyTorch.

Its layers have the names and sizes of ``feedback.reward_models.RewardModel`` on captions of pictures, with the
answer encoded as a whole (``reader="encoder"``): weights of one load into the other, and both give the same
scores. Needs nothing but torch, so that old libraries can train it in an environment of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CHANNELS, GRID, WORD, PAD = (16, 32, 64), 6, 32, 0


@dataclass(frozen=True)
class Sizes:
    """The sizes of the network.

    Attributes:
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        words: Of the vocabulary.
        length: Words in an answer, padding included.
        features: Numbers per picture, and per answer.
        hidden: Numbers before the score.
    """

    height: int
    width: int
    words: int
    length: int
    features: int
    hidden: int


class PlainPictures(nn.Module):
    """Three strided convolutions with coordinates, then one linear layer."""

    coordinates: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.pixels = nn.Conv2d(3, first, 5, stride=3, padding=1, bias=False)
        self.places = nn.Conv2d(2, first, 5, stride=3, padding=1)
        self.rest = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        rows, columns = torch.linspace(-1, 1, sizes.height), torch.linspace(-1, 1, sizes.width)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        self.register_buffer("coordinates", grid[None], persistent=False)
        self.out = nn.Sequential(nn.Flatten(), nn.Linear(third * GRID * GRID, sizes.features), nn.ReLU())

    def forward(self, pictures: Tensor) -> Tensor:
        pixels = pictures.to(torch.float32, memory_format=torch.channels_last)
        seen = self.pixels(pixels) / 255.0 + self.places(self.coordinates)
        features: Tensor = self.out(self.rest(seen))
        return features


class PlainTokens(nn.Module):
    """Embeddings side by side, then two linear layers."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes.words, WORD, padding_idx=PAD)
        self.net = nn.Sequential(
            nn.Linear(sizes.length * WORD, sizes.features),
            nn.ReLU(),
            nn.Linear(sizes.features, sizes.features),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        features: Tensor = self.net(self.words(tokens).flatten(1))
        return features


class PlainFusion(nn.Module):
    """A linear layer and layer normalisation over what the encoders found."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, features), nn.LayerNorm(features), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        fused: Tensor = self.net(features)
        return fused


class PlainRewardModel(nn.Module):
    """Scores n pictures with one answer each.

    Args:
        sizes: The sizes.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        context, reader, head = nn.Module(), nn.Module(), nn.Module()
        context.encoders = nn.ModuleDict({"image": PlainPictures(sizes)})
        context.fuse = PlainFusion(sizes.features)
        reader.encoder = PlainTokens(sizes)
        head.each = nn.Linear(3 * sizes.features, sizes.hidden)
        head.mix = nn.Linear(sizes.hidden, sizes.hidden)
        head.out = nn.Linear(sizes.hidden, 1)
        self.context_encoder, self.reader, self.head = context, reader, head

    def forward(self, pictures: Tensor, tokens: Tensor) -> Tensor:
        """Scores (n,).

        Args:
            pictures: (n, 3, height, width), 0 to 255.
            tokens: (n, length) int64, padded with 0.
        """
        context = self.context_encoder.fuse(self.context_encoder.encoders["image"](pictures))
        answer = self.reader.encoder(tokens)
        each = torch.relu(self.head.each(torch.cat([context, answer, context * answer], 1)))
        scores: Tensor = self.head.out(each + torch.relu(self.head.mix(each)))[:, 0]
        return scores


@dataclass(frozen=True)
class PlainPairs:
    """Pairs of answers that share their picture.

    Attributes:
        pictures: (m, 3, height, width) uint8.
        tokens: Answers, (a, length) int64.
        context: The picture of each answer, (a,) int64.
        first: An answer of each pair, (n,) int64.
        second: The other, (n,) int64.
        target: 1 where the first is preferred, 0 where the second is, (n,) float32.
    """

    pictures: Tensor
    tokens: Tensor
    context: Tensor
    first: Tensor
    second: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.first)


def minibatches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The numbers below a count in random order, some at a time."""
    yield from torch.randperm(count, generator=generator).split(batch)


def pair_loss(model: PlainRewardModel, pairs: PlainPairs, rows: Tensor) -> Tensor:
    """The Bradley-Terry loss of some pairs: every answer of every pair is scored with its picture."""
    answers = torch.cat([pairs.first[rows], pairs.second[rows]])
    scores = model(pairs.pictures[pairs.context[answers]], pairs.tokens[answers])
    first, second = scores.chunk(2)
    loss: Tensor = nn.functional.binary_cross_entropy_with_logits(first - second, pairs.target[rows])
    return loss


def train(
    model: PlainRewardModel,
    pairs: PlainPairs,
    optimiser: torch.optim.Optimizer,
    batch: int,
    generator: torch.Generator,
) -> None:
    """One epoch of the plain loop."""
    for rows in minibatches(len(pairs), batch, generator):
        loss = pair_loss(model, pairs, rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def mean_loss(model: PlainRewardModel, pairs: PlainPairs, batch: int = 256) -> float:
    """The mean loss over all pairs."""
    total = 0.0
    for rows in torch.arange(len(pairs)).split(batch):
        total += float(pair_loss(model, pairs, rows)) * len(rows)
    return total / len(pairs)


def load_weights(model: PlainRewardModel, weights: Mapping[str, Tensor]) -> None:
    """Takes the weights of a reward model.

    Raises:
        RuntimeError: A name or a shape differs: it is another network.
    """
    model.load_state_dict(dict(weights), strict=True)
