"""Answer encoders: an answer in its context as numbers. A new kind is one line in ``ENCODERS``."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.context import Context
from agents.decoders import GRUDecoder
from agents.encoders import PooledEncoder
from feedback.preferences.batches import Answers
from feedback.reward_models.config import ModelConfig
from mm_envs.answers import AnswerKind, Boxes, Choice, Ranking, Text, Turns, Vector

# Numbers of the size of 1: layers begin with inputs that are.
_MIN_LOG_PROB, _USUAL_LOG_PROB, _USUAL_LENGTH = -15.0, 3.0, 8.0
_MAX_WORDS = 4096

Spaces: TypeAlias = Mapping[str, gym.Space[Any]]


class AnswerEncoder(nn.Module):
    """Encodes an answer as one vector r of F features and compares it with its context c: [c, r, c * r]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.width = 3 * features

    @abstractmethod
    def encode(self, context: Context, answers: Answers) -> Tensor:
        """The vectors of answers, (a, F)."""

    def forward(self, context: Context, answers: Answers) -> Tensor:
        """Answers in their contexts, (a, 3F); neighbouring a / m answers belong to one of m contexts."""
        context = context.repeat(context.answers_each(len(answers)))
        answer = self.encode(context, answers)
        return torch.cat([context.pooled, answer, context.pooled * answer], 1)


class SequenceLevelEncoder(AnswerEncoder):
    """Encodes an answer by itself, as an entry of an observation is encoded."""

    def __init__(self, kind: AnswerKind, config: ModelConfig, turns: Spaces | None = None) -> None:
        super().__init__(config.features)
        self.kind = kind
        self.encoder = PooledEncoder(kind.space, config.features)

    def encode(self, context: Context, answers: Answers) -> Tensor:
        """The vectors of answers, (a, F)."""
        length = self.kind.finish(answers.response)[1] if answers.length is None else answers.length
        answer: Tensor = self.encoder(answers.response, None if length is None else length[:, None])
        return answer


class CandidateEncoder(AnswerEncoder):
    """The vector of the candidate that an answer refers to; of a ranking their sum, weighed by position."""

    def __init__(self, kind: Choice | Ranking, config: ModelConfig) -> None:
        super().__init__(config.features)
        positions = math.prod(kind.space.shape or ())
        # At first the first place counts most, the second half as much, ...
        self.weights = nn.Parameter(1 / torch.arange(1, positions + 1, dtype=torch.float32))

    def encode(self, context: Context, answers: Answers) -> Tensor:
        """The vectors of answers, (a, F)."""
        assert context.candidates is not None
        index = answers.response.view(len(answers), -1, 1).expand(-1, -1, context.candidates.shape[2])
        return (context.candidates.gather(1, index) * self.weights[:, None]).sum(1)


class ChoicesEncoder(AnswerEncoder):
    """Choices one after another, each by an embedding of its own, with what was heard between them."""

    def __init__(self, kind: Ranking | Turns, config: ModelConfig, turns: Spaces | None = None) -> None:
        super().__init__(config.features)
        positions, options = int(kind.space.shape[0]), int(kind.action_space.n)  # type: ignore[index,attr-defined]
        self.choices = nn.ModuleList(nn.Embedding(options, config.features) for _ in range(positions))
        heard = (turns or {}).items()
        self.heard = nn.ModuleDict({key: PooledEncoder(space, config.features) for key, space in heard})
        parts = positions + max(positions - 1, 0) * len(self.heard)
        self.mix = nn.Sequential(nn.Linear(parts * config.features, config.features), nn.ReLU())

    def encode(self, context: Context, answers: Answers) -> Tensor:
        """The vectors of answers, (a, F)."""
        if self.heard and answers.turns is None:
            raise ValueError("a conversation has replies: play answers with mm_envs.tasks.play.answered")
        parts = [choice(answers.response[:, index]) for index, choice in enumerate(self.choices)]
        for key, encode in self.heard.items():
            assert answers.turns is not None
            parts += [encode(answers.turns[key][:, turn]) for turn in range(len(self.choices) - 1)]
        answer: Tensor = self.mix(torch.cat(parts, 1))
        return answer


class TokenLevelEncoder(nn.Module):
    """Encodes each word of an answer in the context and after the words before it.

    Features of a word are its agreement with the decoder (the state before it times its output weights, the
    sum of which is its logit), its log-probability, and its embedding; not the state, with which few labels
    overfit.
    """

    def __init__(self, kind: Text, config: ModelConfig) -> None:
        super().__init__()
        self.kind = kind
        sizes = {"hidden": config.hidden, "attended": config.features}
        self.decoder = GRUDecoder(config.features, len(kind.vocabulary), **sizes)
        self.width = config.hidden + self.decoder.words.embedding_dim + 2

    def forward(self, context: Context, answers: Answers) -> Tensor:
        """What each word is, (a, steps, ...); the last number is 1 up to ``<eos>``, 0 behind it."""
        tokens, there = self.kind.trimmed(answers.response, answers.length)
        hidden = self.decoder.hidden(context, tokens)
        agreed = hidden * nn.functional.embedding(tokens, self.decoder.out.weight)
        likely = self._log_prob(hidden, agreed, tokens).clamp(min=_MIN_LOG_PROB) / _USUAL_LOG_PROB
        known = self.decoder.words(tokens)
        return torch.cat([agreed, known, likely[:, :, None], there[:, :, None].to(hidden.dtype)], 2)

    def _log_prob(self, hidden: Tensor, agreed: Tensor, tokens: Tensor) -> Tensor:
        """The log-probability of each word; of a large vocabulary its logit, which costs next to nothing."""
        logit = agreed.sum(2) + self.decoder.out.bias[tokens]
        if self.decoder.out.out_features > _MAX_WORDS:
            return logit
        expected: Tensor = self.decoder.out(hidden)
        return logit - expected.logsumexp(2)


class Head(nn.Module):
    """The score of encoded answers, ``read`` numbers each, by one hidden layer of D = ``width`` numbers.

    Of words the sum counts (the content, and how much) and the maximum (whether there is such a word).
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


# What encodes answers of a kind by themselves; words have a decoder besides.
ENCODERS: dict[type[AnswerKind], Callable[..., AnswerEncoder]] = {
    Choice: SequenceLevelEncoder,
    Text: SequenceLevelEncoder,
    Vector: SequenceLevelEncoder,
    Boxes: SequenceLevelEncoder,
    Ranking: ChoicesEncoder,
    Turns: ChoicesEncoder,
}


# What encodes answers of a kind token by token, as a policy writes them.
DECODERS: dict[type[AnswerKind], Callable[..., TokenLevelEncoder]] = {Text: TokenLevelEncoder}


def make_answer_encoder(
    kind: AnswerKind, config: ModelConfig, turns: Spaces | None = None
) -> TokenLevelEncoder | AnswerEncoder:
    """The encoder of answers of a kind; ``turns`` are the spaces of what is heard between turns."""
    if config.reader == "decoder" and type(kind) not in DECODERS:
        raise ValueError(f"reader='decoder' reads words, but answers are {kind.space}: use reader='encoder'")
    if type(kind) in DECODERS and config.reader != "encoder":
        return DECODERS[type(kind)](kind, config)
    if kind.among is not None:
        return CandidateEncoder(kind, config)  # type: ignore[arg-type]
    if type(kind) not in ENCODERS:
        known = ", ".join(one.name for one in ENCODERS)
        raise ValueError(f"answers of kind {kind.name!r} have no encoder: the kinds with one are {known}")
    return ENCODERS[type(kind)](kind, config, turns)
