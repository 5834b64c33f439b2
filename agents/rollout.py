"""Batches of whole answers with their scores: what trainers of answering policies learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.policy import ResponsePolicy
from mm_envs.batch import Batch
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes
from mm_envs.feedback_sources import judgement
from mm_envs.random import key_hashes, purpose
from mm_envs.tasks.play import hearing


@dataclass(frozen=True)
class Rollout(Batch):
    """k answers to each of m contexts.

    Attributes:
        context: The contexts, by observation key, (m, ...).
        response: (m, k, ...), as ``Episodes.response``.
        length: (m, k) int64; None for kinds without length.
        turns: As ``Episodes.turns``, (m, k, ...); None where there is no conversation.
        reward: What the feedback gave each answer, (m, k) float32; None where no feedback is asked.
        utility: The true utility of each answer, (m, k) float32; for the learning curve, not for losses.
    """

    context: Mapping[str, Tensor]
    response: Tensor
    length: Tensor | None = None
    turns: Mapping[str, Tensor] | None = None
    reward: Tensor | None = None
    utility: Tensor | None = None

    def __len__(self) -> int:
        return len(self.response)


def draw_rollout(
    policy: ResponsePolicy, envs: MultimodalVectorEnv, answers: int = 1, temperature: float = 1.0
) -> Rollout:
    """Answers of a policy to the episodes that an environment is at, scored by its feedback.

    The rows of the environment are at new episodes afterwards.

    Args:
        policy: The policy.
        envs: The environment, reset before; ``group_size`` is a multiple of ``answers``.
        answers: k, how many neighbouring rows are answers to one context, which is encoded once.
        temperature: Of the draws.
    """
    prompts = envs.prompts()
    first = torch.arange(0, len(prompts), answers, device=prompts.key.device)
    context = {key: value[first] for key, value in prompts.context.items()}
    hear = hearing(envs.task, prompts)
    with torch.no_grad():
        encoded = policy.encode(context)
        hashes = key_hashes(prompts.key, purpose("policy gradient"))
        response, length = policy.sample(encoded, hashes, temperature, hear)
        turns = None if hear is None else hear(response)
        truth = envs.task.utility(response, length, prompts.reference)
        episodes = Episodes(prompts.context, response, length, prompts.reference, prompts.key, truth, turns)
        given = judgement(envs.feedback, episodes)
        reward = torch.where(given.judged, given.reward, 0.0)
    envs.reset()

    def grouped(values: Tensor) -> Tensor:
        return values.view(-1, answers, *values.shape[1:])

    return Rollout(
        context,
        grouped(response),
        None if length is None else grouped(length),
        None if turns is None else {key: grouped(value) for key, value in turns.items()},
        grouped(reward),
        grouped(truth.reward),
    )


def log_probs(policy: ResponsePolicy, rollout: Rollout) -> Tensor:
    """The log-probability of each answer, (m, k); every context is encoded once."""
    m, k = rollout.response.shape[:2]
    encoded = policy.encode(rollout.context)
    length = None if rollout.length is None else rollout.length.flatten()
    turns = None if rollout.turns is None else {key: one.flatten(0, 1) for key, one in rollout.turns.items()}
    return policy.log_prob(encoded, rollout.response.flatten(0, 1), length, turns).view(m, k)
