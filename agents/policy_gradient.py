"""Policy gradients on whole answers: each against other answers to the same question."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from agents.policy import ResponsePolicy
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Prompts
from mm_envs.names import at_least
from mm_envs.random import fold, key_hashes, purpose
from mm_envs.tasks.play import hearing
from mm_envs.tasks.task import Task

# Prompts (m), answers (m, k, ...) and their lengths (m, k) or None to rewards (m, k).
Reward: TypeAlias = Callable[[Prompts, Tensor, "Tensor | None"], Tensor]


@dataclass(frozen=True)
class GradientConfig:
    """How a policy is trained by policy gradients.

    Attributes:
        steps: Updates.
        prompts: Questions an update.
        answers: k, answers to each of them, at least 2.
        learning_rate: Of Adam (Kingma and Ba, 2014, arXiv 1412.6980).
        kl: beta, the price of each nat away from the reference policy; 0 for none.
        seed: Decides questions and answers.

    Raises:
        ValueError: A value is out of its range.
    """

    steps: int = 200
    prompts: int = 32
    answers: int = 4
    learning_rate: float = 3e-4
    kl: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("prompts", 1), ("answers", 2), ("learning_rate", 0), ("kl", 0)):
            at_least(name, getattr(self, name), least)


@dataclass(frozen=True)
class Update:
    """What was seen at one update, before it.

    Attributes:
        reward: The mean reward, without the price of the divergence.
        kl: The mean of log p(answer) - log p_reference(answer), in nats an answer.
    """

    reward: float
    kl: float


def policy_gradient(
    policy: ResponsePolicy,
    task: Task,
    reward: Reward,
    config: GradientConfig | None = None,
    reference: ResponsePolicy | None = None,
) -> list[Update]:
    """Trains a policy in place on the rewards of its own answers, drawn at temperature 1.

    REINFORCE with a leave-one-out baseline (Kool et al., 2019; Ahmadian et al., 2024, arXiv 2402.14740): the
    loss is the mean over answers of ``-A log p(answer)``, where A is the advantage of ``leave_one_out`` on
    ``reward - kl * (log p(answer) - log p_reference(answer))``; one update a batch.

    Args:
        policy: The policy.
        task: Whose training items it answers.
        reward: Judges answers; called without gradients.
        config: How.
        reference: From what the divergence is counted; None for the policy as it is now.

    Returns:
        What was seen at each update.
    """
    config = config or GradientConfig()
    device = next(policy.parameters()).device
    reference = (copy.deepcopy(policy) if reference is None else reference).requires_grad_(False)
    optimizer = torch.optim.Adam(policy.parameters(), config.learning_rate, fused=True)
    envs = MultimodalVectorEnv(config.prompts, task, feedback="truth", device=device)
    envs.reset(seed=config.seed)
    updates = []
    for _ in range(config.steps):
        loss, update = _surrogate(policy, reference, task, envs.prompts(), reward, config)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        updates.append(update)
        envs.reset()
    return updates


def _surrogate(
    policy: ResponsePolicy,
    reference: ResponsePolicy,
    task: Task,
    prompts: Prompts,
    reward: Reward,
    config: GradientConfig,
) -> tuple[Tensor, Update]:
    """The loss whose gradient is that of the expected reward, and what was seen."""
    m, k = len(prompts), config.answers
    encoded = policy.encode(prompts.context).repeat_interleave(k, 0)
    hashes = fold(
        key_hashes(prompts.key, purpose("policy gradient"))[:, None], torch.arange(k).to(encoded.device)
    )
    several = prompts.take(torch.arange(m, device=prompts.key.device).repeat_interleave(k))
    hear = hearing(task, several)
    response, length = policy.sample(encoded, hashes.flatten(), hear=hear)
    turns = None if hear is None else hear(response)
    log_prob = policy.log_prob(encoded, response, length, turns)
    with torch.no_grad():
        before = reference.encode(prompts.context).repeat_interleave(k, 0)
        kl = (log_prob - reference.log_prob(before, response, length, turns)).view(m, k)
        judged = reward(
            prompts, response.view(m, k, *response.shape[1:]), None if length is None else length.view(m, k)
        )
        advantage = leave_one_out(judged - config.kl * kl)
    update = Update(float(judged.mean()), float(kl.mean()))
    return -(advantage * log_prob.view(m, k)).mean(), update


def leave_one_out(rewards: Tensor) -> Tensor:
    """The advantage of each answer over the mean of the others to the same question.

    ``A_i = r_i - sum over j != i of r_j / (k - 1)`` (Kool, van Hoof and Welling, "Buy 4 REINFORCE samples,
    get a baseline for free", 2019). The baseline does not depend on the answer, so it biases nothing.

    Args:
        rewards: (m, k) of k answers to each of m questions.

    Raises:
        ValueError: k is below 2.

    Example:
        >>> leave_one_out(torch.tensor([[1.0, 0.0, 0.5]]))
        tensor([[ 0.7500, -0.7500,  0.0000]])
    """
    k = rewards.shape[1]
    at_least("answers", k, 2, "one answer alone is compared with nothing")
    return (rewards - rewards.mean(1, keepdim=True)) * (k / (k - 1))
