"""A policy whose every episode is one answer: the context is encoded once, then the answer is drawn."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agents.context import ContextEncoder
from agents.generators import seeded
from agents.heads import Context, Hear, make_head
from mm_envs.names import at_least
from mm_envs.tasks.task import Task


class ResponsePolicy(nn.Module):
    """Answers the questions of a task, whatever the kind of the answers.

    It encodes the context once an episode, for any number of answers to it.

    Args:
        task: Its spaces decide the encoders and its kind of answers the head; it is not kept.
        features: F, numbers per context.
        hidden: Numbers per hidden state of the head.
        seed: Of the weights.

    Raises:
        ValueError: The kind of answers has no head, or a width is below 1.

    Example:
        >>> import torch
        >>> from mm_envs.tasks import make_task
        >>> policy = ResponsePolicy(make_task("vqa", answer="tokens"), features=16, hidden=16)
        >>> context = {key: torch.tensor(space.sample())[None].expand(4, *space.shape)
        ...            for key, space in make_task("vqa").context_spaces.items()}
        >>> encoded = policy.encode(context)
        >>> response, length = policy.sample(encoded, hashes=torch.arange(4))
        >>> encoded.shape, response.shape, policy.log_prob(encoded, response, length).shape
        (torch.Size([4, 16]), torch.Size([4, 3]), torch.Size([4]))
    """

    def __init__(self, task: Task, features: int = 256, hidden: int = 256, seed: int = 0) -> None:
        super().__init__()
        self.features, self.hidden, self.kind = features, hidden, task.answer
        with seeded(seed):
            self.context_encoder = ContextEncoder(task.context_spaces, features, task.answer.among)
            self.head = make_head(task.answer, features, hidden, task.turn_spaces)

    def encode(self, contexts: Mapping[str, Tensor]) -> Tensor:
        """One row of numbers for each of m contexts; see ``ContextEncoder``."""
        encoded: Tensor = self.context_encoder(contexts)
        return encoded

    def context(self, encoded: Tensor) -> Context:
        """What heads are given of encoded contexts (n, ...)."""
        return Context(self.context_encoder.pooled(encoded), self.context_encoder.candidates(encoded))

    def step_log_probs(
        self,
        encoded: Tensor,
        response: Tensor,
        length: Tensor | None = None,
        turns: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The log-probability of each part of answers, (n, parts); 0 for parts that were not written.

        ``encoded`` is the context of each answer; the rest is as in ``Episodes``. No length: it is found.
        """
        return self.head.log_probs(self.context(encoded), response, length, turns)

    def log_prob(
        self,
        encoded: Tensor,
        response: Tensor,
        length: Tensor | None = None,
        turns: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The log-probability of answers, (n,); the arguments are those of ``step_log_probs``."""
        return self.step_log_probs(encoded, response, length, turns).sum(1)

    def sample(
        self, encoded: Tensor, hashes: Tensor, temperature: float = 1.0, hear: Hear | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Draws an answer to each context, without gradients.

        Args:
            encoded: As ``encode`` gives it.
            hashes: One for each row, (n,) int64, for instance of ``mm_envs.random.key_hashes``: a row depends
                on its context and its hash, up to the error of sums of floats.
            temperature: Logits are divided by it, deviations multiplied; 0 takes the likeliest each time.
            hear: What is heard between turns, see ``mm_envs.tasks.play.hearing``; conversations need it.

        Returns:
            The answers, as ``Episodes.response``, and their lengths (n,) int64, or None.

        Raises:
            ValueError: The temperature is below 0.
        """
        at_least("temperature", temperature, 0, "0 takes the likeliest word")
        with torch.no_grad():
            return self.head.sample(self.context(encoded), hashes, temperature, hear)
