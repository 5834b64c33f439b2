"""Readers: what an answer is in its context, as numbers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.decoder import Decoder, lengths, written
from agents.encoders import make_encoder
from feedback.reward_models.config import ModelConfig
from mm_envs.spaces import Tokens
from mm_envs.tokenizers import EOS, PAD

# Numbers of the size of 1: layers begin with inputs that are.
_LEAST_LOG_PROB, _USUAL_LOG_PROB, _USUAL_LENGTH = -15.0, 3.0, 8.0
_MOST_WORDS = 4096


class WholeReader(nn.Module):
    """Encodes an answer by itself, and sets it beside its context: [c, r, c * r].

    Args:
        space: The space of one answer.
        features: F, numbers per context and per answer.
    """

    def __init__(self, space: gym.Space[Any], features: int) -> None:
        super().__init__()
        self.width, self.words = 3 * features, isinstance(space, Tokens)
        self.encoder = make_encoder(space, features)

    def forward(self, context: Tensor, response: Tensor, length: Tensor | None) -> Tensor:
        """What is read of answers, (a, 3F).

        Args:
            context: The encoded context of each answer, (a, F).
            response: As ``Episodes.response``.
            length: As ``Episodes.response_length``.
        """
        if self.words and length is None:
            length = lengths(response)
        read = self.encoder(response, length if length is None else length[:, None])
        return torch.cat([context, read, context * read], 1)


class WordReader(nn.Module):
    """Reads each word of an answer in the context and behind the words before it.

    Of each word it tells how it agrees with what the decoder expected (the state before it times its output
    weights, the sum of which is its logit), how likely it was, and what it is. The state itself is left out:
    few labels would be learnt by heart with it.

    Args:
        space: The space of one answer.
        config: The sizes.
    """

    def __init__(self, space: Tokens, config: ModelConfig) -> None:
        super().__init__()
        self.decoder = Decoder(config.features, len(space.vocabulary), config.hidden)
        self.width = config.hidden + self.decoder.words.embedding_dim + 2

    def forward(self, context: Tensor, response: Tensor, length: Tensor | None) -> Tensor:
        """What is read of each word, (a, places, ...); the last number is 1 up to ``<eos>``, 0 behind it."""
        tokens, there = _answered(response, length)
        hidden = self.decoder.hidden(context, tokens)
        agreed = hidden * nn.functional.embedding(tokens, self.decoder.out.weight)
        likely = self._log_prob(hidden, agreed, tokens).clamp(min=_LEAST_LOG_PROB) / _USUAL_LOG_PROB
        known = self.decoder.words(tokens)
        return torch.cat([agreed, known, likely[:, :, None], there[:, :, None].to(hidden.dtype)], 2)

    def _log_prob(self, hidden: Tensor, agreed: Tensor, tokens: Tensor) -> Tensor:
        """The log-probability of each word; of a large vocabulary its logit, which costs next to nothing."""
        logit = agreed.sum(2) + self.decoder.out.bias[tokens]
        if self.decoder.out.out_features > _MOST_WORDS:
            return logit
        expected: Tensor = self.decoder.out(hidden)
        return logit - expected.logsumexp(2)


class Head(nn.Module):
    """The score of what was read, by one hidden layer.

    Of words the sum counts (what is said, and how much) and the maximum (whether there is such a word).

    Args:
        read: Numbers per answer or word.
        width: D.
        words: Whether there are words.
    """

    def __init__(self, read: int, width: int, words: bool) -> None:
        super().__init__()
        self.words = words
        self.each = nn.Linear(read, width)
        self.mix = nn.Linear(2 * width if words else width, width)
        self.out = nn.Linear(width, 1)

    def features(self, read: Tensor) -> Tensor:
        """Features of answers, (a, D), of which the score is a linear function."""
        each = torch.relu(self.each(read))
        if not self.words:
            return each + torch.relu(self.mix(each))
        # Behind the end nothing is counted; all features are at least 0, so that 0 is no maximum either.
        each = each * read[:, :, -1:]
        whole = each.sum(1) / _USUAL_LENGTH
        return whole + torch.relu(self.mix(torch.cat([whole, each.amax(1)], 1)))

    def forward(self, read: Tensor) -> Tensor:
        """Scores (a,)."""
        scores: Tensor = self.out(self.features(read))[:, 0]
        return scores


def _answered(response: Tensor, length: Tensor | None) -> tuple[Tensor, Tensor]:
    """The words of answers with ``<eos>`` behind them and padding behind that, and which places are written.

    Whatever stood behind the end is gone, so that it cannot count.
    """
    length = lengths(response) if length is None else length
    places = response.shape[1]
    if response.device.type == "cpu" and len(length):
        # Looking costs nothing here, and most answers are shorter than they could be.
        places = min(places, int(length.max()) + 1)
    there = written(length, places)
    end = torch.arange(places, device=length.device) == length[:, None]
    tokens = torch.where(there, torch.where(end, EOS, response[:, :places]), PAD)
    return tokens, there


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
