"""Answers of a policy, answers to other questions, and mixtures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.policy import ResponsePolicy
from feedback.responses.sampler import Sampler, answer_hashes, grouped
from mm_envs.episodes import Prompts
from mm_envs.names import at_least
from mm_envs.random import fold, uniform
from mm_envs.tasks.play import hearing
from mm_envs.tasks.task import Task

_CHUNK = 1024


class PolicySamples:
    """Answers of a policy at a temperature; each context is encoded once, however many answers it gets.

    Args:
        policy: The policy.
        temperature: Divides logits; 0 takes the likeliest word each time.
        policy_name: The name of the policy in ``name``.
        task: The task, which gives the replies of a conversation.

    Example:
        >>> from feedback.collection import draw_prompts
        >>> prompts, tickets = draw_prompts("MMVQA-v0", 3)
        >>> sampler = PolicySamples(ResponsePolicy(tickets.task, features=16), policy_name="untrained policy")
        >>> sampler.name, tuple(sampler.sample(prompts, answers=4)[0].shape)
        ('samples of untrained policy at temperature 1', (3, 4))
    """

    def __init__(
        self,
        policy: ResponsePolicy,
        temperature: float = 1.0,
        policy_name: str = "a policy",
        task: Task | None = None,
    ) -> None:
        at_least("temperature", temperature, 0, "0 takes the likeliest word")
        self.name = f"samples of {policy_name} at temperature {temperature:g}"
        self._policy, self._temperature, self._task = policy, temperature, task

    @torch.no_grad()
    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some answers to each of n prompts; see ``Sampler``."""
        hashes = answer_hashes(prompts, answers, seed, "policy")
        responses, sizes = [], []
        for start in range(0, len(prompts), _CHUNK):
            rows = slice(start, start + _CHUNK)
            encoded = self._policy.encode({key: value[rows] for key, value in prompts.context.items()})
            hear = None
            if self._task is not None:
                here = torch.arange(len(prompts), device=hashes.device)[rows].repeat_interleave(answers)
                hear = hearing(self._task, prompts.take(here)) if self._task.turn_spaces else None
            response, length = self._policy.sample(encoded, hashes[rows].flatten(), self._temperature, hear)
            responses.append(response.view(-1, answers, *response.shape[1:]))
            if length is not None:
                sizes.append(length.view(-1, answers))
        return torch.cat(responses), torch.cat(sizes) if sizes else None


class MismatchedReferences:
    """References of other items of the same split.

    Example:
        >>> from feedback.collection import draw_prompts
        >>> prompts, tickets = draw_prompts("MMCaption-v0", 3)
        >>> tuple(MismatchedReferences(tickets.task).sample(prompts, answers=2)[0].shape)
        (3, 2, 12)
    """

    name = "good answers to another picture"

    def __init__(self, task: Task) -> None:
        self._task = task

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some good answers to items other than those of n prompts; see ``Sampler``."""
        hashes = answer_hashes(prompts, answers, seed, self.name).flatten()
        item = prompts.item.repeat_interleave(answers)
        other = self._task.dataset.others(item, fold(hashes, 0), 1)[:, 0]
        reference = self._task.batch(other, self._task.reference)
        good = self._task.good(reference, fold(hashes, 1))
        return grouped(*self._task.answer.finish(good), answers)


class Mixture:
    """Each answer from one of several samplers.

    Args:
        samplers: The samplers.
        weights: How often each is drawn from, any numbers above 0; None for equally often.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> from feedback.responses import Edits
        >>> task = make_task("caption")
        >>> Mixture([Edits(task), MismatchedReferences(task)], [3, 1]).name
        'mixture of reference with 0 to 4 edits (75%), good answers to another picture (25%)'
    """

    def __init__(self, samplers: Sequence[Sampler], weights: Sequence[float] | None = None) -> None:
        weights = [1.0] * len(samplers) if weights is None else list(weights)
        if not samplers or len(weights) != len(samplers) or not all(weight > 0 for weight in weights):
            raise ValueError(
                f"weights={weights} do not fit {len(samplers)} samplers: give each one number above 0"
            )
        shares = [weight / sum(weights) for weight in weights]
        parts = (f"{one.name} ({share:.0%})" for one, share in zip(samplers, shares, strict=True))
        self.name = f"mixture of {', '.join(parts)}"
        self._samplers, self._ends = list(samplers), torch.tensor(shares).cumsum(0)[:-1]

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some answers to each of n prompts; see ``Sampler``."""
        hashes = answer_hashes(prompts, answers, seed, "mixture")
        which = torch.bucketize(uniform(hashes), self._ends.to(hashes.device), right=True)
        response, length = self._samplers[0].sample(prompts, answers, seed)
        for number, sampler in enumerate(self._samplers[1:], 1):
            other, size = sampler.sample(prompts, answers, seed)
            mine = which == number
            response = torch.where(mine.view(*mine.shape, *[1] * (response.ndim - 2)), other, response)
            if length is not None and size is not None:
                length = torch.where(mine, size, length)
        return response, length
