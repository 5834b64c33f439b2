"""A policy whose every episode is one answer: the context is encoded once, then the answer is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from agents.context import Context, ContextEncoder
from agents.encoders.choice import Chosen, EncoderChoice
from agents.encoders.encoded import Entry
from agents.generators import seeded
from agents.heads import PLAIN, Hear, Parts, Sampling, head_class, make_head
from mm_envs.answers import Answered
from mm_envs.tasks.task import Task


class ResponsePolicy(nn.Module):
    """Answers the questions of a task, whatever the kind of the answers.

    It encodes the context once an episode, for any number of answers to it.

    Args:
        task: Its spaces decide the encoders and its kind of answers the head; it is not kept.
        features: F, numbers per context.
        hidden: Numbers per hidden state of the head.
        seed: Of the weights.
        fusion: The name of a fusion of ``agents.fusion.FUSIONS``.
        decoder: The name of a decoder of ``agents.decoders.DECODERS``, for answers of words.
        encoders: The encoder of each entry, see ``agents.encoders.choice.EncoderChoice``; those that are
            missing are the defaults of their spaces.
        trainable: What of the encoders is trained: "all", "none", "last:K" or "lora:R".

    Attributes:
        arguments: The arguments that make the policy again, but for the task, the seed and files of weights.

    Raises:
        ValueError: The kind of answers has no head, a name is unknown, or a width is below 1.

    Example:
        >>> import torch
        >>> from mm_envs.tasks import make_task
        >>> policy = ResponsePolicy(make_task("vqa", answer="tokens"), features=16, hidden=16)
        >>> context = {key: torch.tensor(space.sample())[None].expand(4, *space.shape)
        ...            for key, space in make_task("vqa").context_spaces.items()}
        >>> encoded = policy.encode(context)
        >>> response, length = policy.sample(encoded, hashes=torch.arange(8))
        >>> encoded.pooled.shape, response.shape, policy.log_prob(encoded, response, length).shape
        (torch.Size([4, 16]), torch.Size([8, 3]), torch.Size([8]))
    """

    def __init__(
        self,
        task: Task,
        features: int = 128,
        hidden: int = 128,
        seed: int = 0,
        fusion: str = "word_patch",
        decoder: str = "gru",
        encoders: Mapping[str, Chosen] | None = None,
        trainable: str = "all",
    ) -> None:
        super().__init__()
        self.features, self.hidden, self.kind = features, hidden, task.answer
        choice = EncoderChoice(encoders or {}, trainable, seed)
        self.arguments: dict[str, Any] = {
            "features": features,
            "hidden": hidden,
            "fusion": fusion,
            "decoder": decoder,
            **choice.arguments(),
        }
        attends, among = head_class(task.answer).attends, task.answer.among
        with seeded(seed):
            self.context_encoder = ContextEncoder(
                task.context_spaces, features, among, fusion, attends, choice
            )
            attended = self.context_encoder.fused.width if attends else 0
            self.head = make_head(task.answer, features, hidden, task.turn_spaces, decoder, attended)

    def encode(self, contexts: Mapping[str, Entry]) -> Context:
        """The encoded contexts of m observations, entries (m, ...)."""
        encoded: Context = self.context_encoder(contexts)
        return encoded

    def distribution(
        self,
        encoded: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Mapping[str, Tensor] | None = None,
        sampling: Sampling = PLAIN,
    ) -> Parts:
        """The distribution of each part of n answers to m contexts; see ``AnswerHead.distribution``.

        Neighbouring n / m rows are answers to one context.
        """
        return self.head.distribution(encoded, response, length, turns, sampling)

    def step_log_probs(
        self,
        encoded: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The log-probability of each part of answers, (n, parts); 0 for parts that were not written."""
        return self.distribution(encoded, response, length, turns).log_prob(response)

    def log_prob(
        self,
        encoded: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The log-probability of answers, (n,); the arguments are those of ``step_log_probs``."""
        return self.step_log_probs(encoded, response, length, turns).sum(1)

    def sample(
        self,
        encoded: Context,
        hashes: Tensor,
        sampling: Sampling | float = PLAIN,
        hear: Hear | None = None,
    ) -> Answered:
        """Draws n answers to m contexts, without gradients.

        Args:
            encoded: As ``encode`` gives it.
            hashes: One for each answer, (n,) int64, for instance of ``mm_envs.random.key_hashes``: a row
                depends on its context and its hash, up to the error of sums of floats.
            sampling: How they are drawn, or the temperature alone.
            hear: What is heard between turns, see ``mm_envs.tasks.play.hearing``; conversations need it.

        Returns:
            The answers, as ``Episodes.response``, and their lengths (n,) int64, or None.

        Raises:
            ValueError: The temperature is below 0.
        """
        how = sampling if isinstance(sampling, Sampling) else Sampling(sampling)
        with torch.no_grad():
            return self.head.sample(encoded, hashes, how, hear)
