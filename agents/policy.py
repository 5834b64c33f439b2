"""A policy whose every episode is one answer: the context is encoded once, then the answer is drawn."""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.decoder import Decoder, lengths, written
from agents.fusion import FusedEncoder
from agents.generators import seeded
from mm_envs.answers import Text
from mm_envs.names import at_least
from mm_envs.random import fold, gumbel
from mm_envs.tasks.task import Task
from mm_envs.tokenizers import EOS, PAD


class ResponsePolicy(nn.Module):
    """Answers the questions of a task: words one after the other, or one choice.

    Unlike a policy of single steps it sees the context alone, and encodes it once an episode, for however
    many answers to it.

    Args:
        task: Its spaces decide the encoders and the answers; it is not kept.
        features: F, numbers per context.
        hidden: Numbers per hidden state of the decoder.
        seed: Seeds the weights.

    Attributes:
        context_encoder: The ``FusedEncoder`` of the context.
        decoder: The ``Decoder`` of words; None for choices.
        head: The linear layer from a context to the logits of the choices; None for words.

    Raises:
        ValueError: The answers are neither words nor choices, or a width is below 1.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> policy = ResponsePolicy(make_task("vqa", answer="tokens"), features=16, hidden=16)
        >>> context = {key: torch.tensor(space.sample())[None].expand(4, *space.shape)
        ...            for key, space in make_task("vqa").context_spaces.items()}
        >>> encoded = policy.encode(context)
        >>> response, length = policy.sample(encoded, bits=torch.arange(4))
        >>> encoded.shape, response.shape, policy.log_prob(encoded, response, length).shape
        (torch.Size([4, 16]), torch.Size([4, 3]), torch.Size([4]))
    """

    decoder: Decoder | None
    head: nn.Linear | None

    def __init__(self, task: Task, features: int = 256, hidden: int = 256, seed: int = 0) -> None:
        super().__init__()
        space = task.action_space
        if not isinstance(space, gym.spaces.Discrete):
            raise ValueError(f"answers of {space} cannot be drawn: give a task of words or choices")
        self.features, self.hidden, self.horizon = features, hidden, task.horizon
        with seeded(seed):
            self.context_encoder = FusedEncoder(gym.spaces.Dict(task.context_spaces), features)
            words = isinstance(task.answer, Text)
            self.decoder = Decoder(features, int(space.n), hidden) if words else None
            self.head = None if words else nn.Linear(features, int(space.n))

    def encode(self, contexts: Mapping[str, Tensor]) -> Tensor:
        """Features (m, F) of m contexts."""
        encoded: Tensor = self.context_encoder(contexts)
        return encoded

    def logits(self, encoded: Tensor, response: Tensor) -> Tensor:
        """The logits of the word at each place of answers, (n, L, words); of choices (n, 1, choices).

        Args:
            encoded: The context of each answer, (n, F).
            response: (n, L) int64 for words, (n,) for choices.
        """
        if self.decoder is not None:
            scores: Tensor = self.decoder(encoded, response)
            return scores
        assert self.head is not None
        scores = self.head(encoded)
        return scores[:, None]

    def places(self, response: Tensor, length: Tensor | None = None) -> Tensor:
        """Which places of answers count, (n, L) bool: those up to ``<eos>``; for choices the only one."""
        if self.decoder is None:
            return torch.ones_like(response[:, None], dtype=torch.bool)
        return written(lengths(response) if length is None else length, response.shape[1])

    def word_log_probs(self, encoded: Tensor, response: Tensor, length: Tensor | None = None) -> Tensor:
        """The log-probability of each word of answers, ``<eos>`` included, (n, L); 0 behind it.

        Args:
            encoded: The context of each answer, (n, F).
            response: (n, L) int64 for words, (n,) for choices.
            length: Words before ``<eos>``, (n,) int64; None reads it from the words.
        """
        chosen = response if self.decoder is not None else response[:, None]
        each = self.logits(encoded, response).log_softmax(2).gather(2, chosen[:, :, None])[:, :, 0]
        return torch.where(self.places(response, length), each, 0)

    def log_prob(self, encoded: Tensor, response: Tensor, length: Tensor | None = None) -> Tensor:
        """The log-probability of answers, (n,); the arguments are those of ``word_log_probs``."""
        return self.word_log_probs(encoded, response, length).sum(1)

    @torch.no_grad()
    def sample(self, encoded: Tensor, bits: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor | None]:
        """Draws an answer to each context.

        Each draw is the largest logit after Gumbel noise (Gumbel, 1954) that is hashed from the bits of the
        row: a row depends on its context and its bits, up to the error of sums of floats.

        Args:
            encoded: (n, F).
            bits: A hash for each row, (n,) int64, for instance of ``mm_envs.random.key_bits``.
            temperature: Logits are divided by it; 0 takes the likeliest word each time.

        Returns:
            The answers, as ``Episodes.response``, and for words their lengths (n,) int64, else None.

        Raises:
            ValueError: The temperature is below 0.
        """
        at_least("temperature", temperature, 0, "0 takes the likeliest word")
        if self.decoder is None:
            assert self.head is not None
            return _draw(self.head(encoded), fold(bits, 0), temperature), None
        state, word = self.decoder.start(encoded), torch.full_like(bits, PAD)
        tokens = torch.full((len(bits), self.horizon), PAD, dtype=torch.int64, device=bits.device)
        running = torch.ones_like(bits, dtype=torch.bool)
        for place in range(self.horizon):
            scores, state = self.decoder.step(encoded, word, state)
            word = torch.where(running, _draw(scores, fold(bits, place), temperature), PAD)
            tokens[:, place] = word
            running = running & (word != EOS)
        return tokens, lengths(tokens)


def _draw(logits: Tensor, bits: Tensor, temperature: float) -> Tensor:
    """One choice of each row of logits (n, k) by the bits of the row (n,)."""
    if temperature > 0:
        noise = gumbel(fold(bits[:, None], torch.arange(logits.shape[1], device=bits.device)))
        logits = logits + temperature * noise
    return logits.argmax(1)
