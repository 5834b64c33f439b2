"""A reward model as it is usually written: a picture and an answer in, a number out, in plain PyTorch.

Its layers have the names and sizes of ``feedback.reward_models.RewardModel`` on captions of pictures: weights
of one load into the other, and both give the same scores. Needs nothing but torch, so that old libraries can
train it in an environment of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CHANNELS, GRID, PAD, EOS = (16, 32, 64), 6, 0, 1


@dataclass(frozen=True)
class Sizes:
    """The sizes of the network.

    Attributes:
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        words: Of the vocabulary.
        length: Words in an answer, padding included.
        features: Numbers per picture, and per answer that is encoded as a whole.
        hidden: Numbers per word of an answer that is read word by word.
        head: Numbers before the score.
        reader: "encoder" encodes an answer as a whole, "decoder" reads it word by word in its context.
    """

    height: int
    width: int
    words: int
    length: int
    features: int
    hidden: int
    head: int
    reader: str


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
        """Features (n, features) of pictures (n, 3, height, width), 0 to 255."""
        pixels = pictures.to(torch.float32, memory_format=torch.channels_last)
        seen = self.pixels(pixels) / 255.0 + self.places(self.coordinates)
        features: Tensor = self.out(self.rest(seen))
        return features


class PlainTokens(nn.Module):
    """Embeddings side by side, then two linear layers."""

    def __init__(self, sizes: Sizes, width: int = 32) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes.words, width, padding_idx=PAD)
        self.net = nn.Sequential(
            nn.Linear(sizes.length * width, sizes.features),
            nn.ReLU(),
            nn.Linear(sizes.features, sizes.features),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Features (n, features) of words (n, length)."""
        features: Tensor = self.net(self.words(tokens).flatten(1))
        return features


class PlainWhole(nn.Module):
    """An answer as a whole beside its context: [c, r, c * r]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.width = 3 * sizes.features
        self.encoder = PlainTokens(sizes)

    def forward(self, context: Tensor, tokens: Tensor, length: Tensor) -> Tensor:
        """What is read, (n, 3 features)."""
        there = torch.arange(tokens.shape[1]) < length[:, None]
        answer = self.encoder(torch.where(there, tokens, PAD))
        return torch.cat([context, answer, context * answer], 1)


class PlainDecoder(nn.Module):
    """A gated recurrent unit that is told the context at every word."""

    def __init__(self, sizes: Sizes, width: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes.words, width)
        self.context = nn.Linear(sizes.features, width)
        self.first = nn.Linear(sizes.features, sizes.hidden)
        self.cell = nn.GRU(width, sizes.hidden, batch_first=True)
        self.out = nn.Linear(sizes.hidden, sizes.words)

    def forward(self, context: Tensor, tokens: Tensor) -> Tensor:
        """The state before each word, (n, length, hidden)."""
        before = torch.cat([torch.full_like(tokens[:, :1], PAD), tokens[:, :-1]], 1)
        start = self.first(context).tanh()[None]
        hidden: Tensor = self.cell(self.words(before) + self.context(context)[:, None], start)[0]
        return hidden


class PlainWords(nn.Module):
    """Each word in the context and behind the words before it."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.width = 2 * sizes.hidden + 1
        self.decoder = PlainDecoder(sizes)

    def forward(self, context: Tensor, tokens: Tensor, length: Tensor) -> Tensor:
        """What is read, (n, places, 2 hidden + 1); as many places as the longest answer has."""
        places = min(tokens.shape[1], int(length.max()) + 1)
        place = torch.arange(places)
        tokens = torch.where(place == length[:, None], EOS, tokens[:, :places])
        there = place <= length[:, None]
        tokens = torch.where(there, tokens, PAD)
        hidden = self.decoder(context, tokens)
        word = nn.functional.embedding(tokens, self.decoder.out.weight)
        return torch.cat([hidden * word, hidden, there[:, :, None].float()], 2)


READERS = {"encoder": PlainWhole, "decoder": PlainWords}


class PlainHead(nn.Module):
    """One hidden layer over what was read; words are summed."""

    def __init__(self, read: int, width: int) -> None:
        super().__init__()
        self.each = nn.Linear(read, width)
        self.mix = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, read: Tensor) -> Tensor:
        """Scores (n,)."""
        each = torch.relu(self.each(read))
        if each.ndim == 3:
            each = torch.einsum("nld,nl->nd", each, read[:, :, -1]) / 8
        scores: Tensor = self.out(each + torch.relu(self.mix(each)))[:, 0]
        return scores


class PlainFusion(nn.Module):
    """A linear layer and layer normalisation over what the encoders found."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, features), nn.LayerNorm(features), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """The same number of features."""
        fused: Tensor = self.net(features)
        return fused


class PlainContext(nn.Module):
    """Pictures to features."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({"image": PlainPictures(sizes)})
        self.fuse = PlainFusion(sizes.features)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (n, features)."""
        fused: Tensor = self.fuse(self.encoders["image"](pictures))
        return fused


class PlainRewardModel(nn.Module):
    """Scores n pictures with one answer each.

    Args:
        sizes: The sizes.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.context_encoder = PlainContext(sizes)
        self.reader = READERS[sizes.reader](sizes)
        self.head = PlainHead(self.reader.width, sizes.head)

    def forward(self, pictures: Tensor, tokens: Tensor, length: Tensor) -> Tensor:
        """Scores (n,).

        Args:
            pictures: (n, 3, height, width), 0 to 255.
            tokens: (n, words) int64, padded with 0.
            length: (n,) int64.
        """
        scores: Tensor = self.head(self.reader(self.context_encoder(pictures), tokens, length))
        return scores


@dataclass(frozen=True)
class PlainPairs:
    """Pairs of answers that share their picture.

    Attributes:
        pictures: (m, 3, height, width) uint8.
        tokens: Answers, (a, places) int64.
        length: Words of each, (a,) int64.
        context: The picture of each answer, (a,) int64.
        first: An answer of each pair, (n,) int64.
        second: The other, (n,) int64.
        target: 1 where the first is preferred, 0 where the second is, (n,) float32.
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


def minibatches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The numbers below a count in random order, some at a time."""
    yield from torch.randperm(count, generator=generator).split(batch)


def pair_loss(model: PlainRewardModel, pairs: PlainPairs, rows: Tensor) -> Tensor:
    """The Bradley-Terry loss of some pairs: every answer of every pair is scored with its picture."""
    answers = torch.cat([pairs.first[rows], pairs.second[rows]])
    pictures = pairs.pictures[pairs.context[answers]]
    scores = model(pictures, pairs.tokens[answers], pairs.length[answers])
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
