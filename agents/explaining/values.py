"""What a context is worth to a policy: the games that modalities play."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from agents.explaining.attribution import Value
from agents.heads import GREEDY
from agents.policy import ResponsePolicy
from mm_envs.answers import Answered
from mm_envs.tasks.task import Task


@torch.no_grad()
def greedy(policy: ResponsePolicy, context: Mapping[str, Tensor]) -> Answered:
    """The likeliest answer to each of n contexts, as ``Episodes.response``, and its length.

    Raises:
        ValueError: The policy holds conversations, whose answers depend on replies.
    """
    if policy.kind.name == "turns":
        raise ValueError("answers of kind 'turns' depend on replies: explain a policy that answers at once")
    encoded = policy.encode(context)
    hashes = torch.zeros(len(encoded), dtype=torch.int64, device=encoded.pooled.device)
    return policy.sample(encoded, hashes, GREEDY)


def utility_of(policy: ResponsePolicy, task: Task, reference: Mapping[str, Tensor]) -> Value:
    """The true utility of the greedy answer to each context; ``reference`` is the truth of the contexts."""

    def value(context: Mapping[str, Tensor]) -> Tensor:
        return task.utility(*greedy(policy, context), reference).reward

    return value


def probability_of(
    policy: ResponsePolicy, response: Tensor, length: Tensor | None = None, per_part: bool = False
) -> Value:
    """The probability (of numbers the density) of given answers (n, ...), one to each context.

    With ``per_part`` it is the geometric mean over the parts that were written, ``exp(sum log p / parts)``:
    the probability of a long text is next to 0.
    """

    @torch.no_grad()
    def value(context: Mapping[str, Tensor]) -> Tensor:
        parts = policy.distribution(policy.encode(context), response, length)
        log_probs = parts.log_prob(response)
        if not per_part:
            return log_probs.sum(1).exp()
        count = log_probs.shape[1] if parts.written is None else parts.written.sum(1).clamp(min=1)
        return (log_probs.sum(1) / count).exp()

    return value
