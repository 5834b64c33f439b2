"""Readers: what an answer is in its context, as numbers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.decoder import Decoder, lengths, written
from agents.encoders import make_encoder
from feedback.reward_models.config import ModelConfig
from mm_envs.data.text import EOS, PAD
from mm_envs.spaces import Tokens


class WholeReader(nn.Module):
    """Encodes an answer by itself, and sets it beside its context: [c, r, c * r].

    Args:
        space: The space of one answer.
        features: F, numbers per context and per answer.
    """

    def __init__(self, space: gym.Space[Any], features: int) -> None:
        super().__init__()
        self.width = 3 * features
        self.encoder = make_encoder(space, features)

    def forward(self, context: Tensor, response: Tensor, length: Tensor | None) -> Tensor:
        """What is read of answers, (a, 3F).

        Args:
            context: The encoded context of each answer, (a, F).
            response: As ``Episodes.response``.
            length: As ``Episodes.response_length``.
        """
        read = self.encoder(response, length if length is None else length[:, None])
        return torch.cat([context, read, context * read], 1)


class WordReader(nn.Module):
    """Reads each word of an answer in the context and behind the words before it.

    Args:
        space: The space of one answer.
        config: The sizes.
    """

    def __init__(self, space: Tokens, config: ModelConfig) -> None:
        super().__init__()
        self.width = 2 * config.hidden + 1
        self.decoder = Decoder(config.features, len(space.vocabulary), config.hidden)

    def forward(self, context: Tensor, response: Tensor, length: Tensor | None) -> Tensor:
        """What is read of each word: the state before it times the word, the state, and whether it is there.

        The product summed is the logit of the word, so that a model that starts from a policy begins with how
        likely the policy finds each word.

        Returns:
            (a, L, 2H + 1); the last number is 1 for words up to ``<eos>`` and 0 behind it.
        """
        length = lengths(response) if length is None else length
        places = response.shape[1]
        if response.device.type == "cpu" and len(length):
            # Looking costs nothing here, and most answers are shorter than they could be.
            places = min(places, int(length.max()) + 1)
        there, tokens = written(length, places), response[:, :places]
        # What stands behind an answer must not count.
        end = torch.arange(places, device=length.device) == length[:, None]
        tokens = torch.where(there, torch.where(end, EOS, tokens), PAD)
        hidden = self.decoder.hidden(context, tokens)
        word = nn.functional.embedding(tokens, self.decoder.out.weight)
        return torch.cat([hidden * word, hidden, there[:, :, None].to(hidden.dtype)], 2)


class Head(nn.Module):
    """The score of what was read: a sum over words where there are any, then one hidden layer.

    Args:
        read: Numbers per answer or word.
        width: D.
        words: Whether there are words.
    """

    def __init__(self, read: int, width: int, words: bool) -> None:
        super().__init__()
        self.words = words
        self.each = nn.Linear(read, width)
        self.mix = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def features(self, read: Tensor) -> Tensor:
        """Features of answers, (a, D), of which the score is a linear function."""
        each = torch.relu(self.each(read))
        if self.words:
            # A sum, not a mean: what is said counts, and so does how much.
            each = torch.einsum("nld,nl->nd", each, read[:, :, -1]) / 8
        features: Tensor = each + torch.relu(self.mix(each))
        return features

    def forward(self, read: Tensor) -> Tensor:
        """Scores (a,)."""
        scores: Tensor = self.out(self.features(read))[:, 0]
        return scores


def make_reader(space: gym.Space[Any], config: ModelConfig) -> WordReader | WholeReader:
    """The reader of answers of a space.

    Raises:
        ValueError: A decoder is asked for, and the answers are no words.
    """
    if config.reader == "decoder" and not isinstance(space, Tokens):
        raise ValueError(f"reader='decoder' reads words, but answers are {space}: use reader='encoder'")
    if isinstance(space, Tokens) and config.reader != "encoder":
        return WordReader(space, config)
    return WholeReader(space, config.features)
