"""Batches of whole answers with their scores: what trainers of answering policies learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from agents.context import Context
from agents.encoders.encoded import Entry
from agents.heads import GREEDY, PLAIN, Hear, Parts, Sampling
from agents.policy import ResponsePolicy
from mm_envs.answers import Answered, Choice, Turns
from mm_envs.batch import Batch, Lazily
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Prompts
from mm_envs.feedback_sources import judgement
from mm_envs.random import key_hashes, purpose
from mm_envs.tasks.play import hearing

_MOST = 1024  # answers that are enumerated


@dataclass(frozen=True)
class Rollout(Batch):
    """k answers to each of m contexts.

    Attributes:
        context: The contexts, by observation key, (m, ...), some of them encoded already.
        response: (m, k, ...), as ``Episodes.response``.
        length: (m, k) int64; None for kinds without length.
        turns: As ``Episodes.turns``, (m, k, ...); None where there is no conversation.
        reward: What the feedback gave each answer, (m, k) float32; None where no feedback is asked.
        utility: The true utility of each answer, (m, k) float32; for the learning curve, not for losses.
        prefix_scores: What the feedback gave the beginnings of each answer, (m, k, parts) float32; None
            where only whole answers were scored.
        item: The index of each context in the dataset, (m,) int64; None where it is not known.
    """

    context: Mapping[str, Entry]
    response: Tensor
    length: Tensor | None = None
    turns: Mapping[str, Tensor] | None = None
    reward: Tensor | None = None
    utility: Tensor | None = None
    prefix_scores: Tensor | None = None
    item: Tensor | None = None

    def __len__(self) -> int:
        return len(self.response)

    def answers(self, some: slice) -> Rollout:
        """Some of the k answers to every context."""

        def cut(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[:, some]

        turns = None if self.turns is None else {key: value[:, some] for key, value in self.turns.items()}
        return replace(
            self,
            response=self.response[:, some],
            length=cut(self.length),
            turns=turns,
            reward=cut(self.reward),
            utility=cut(self.utility),
            prefix_scores=cut(self.prefix_scores),
        )


def draw_rollout(
    policy: ResponsePolicy,
    envs: MultimodalVectorEnv,
    answers: int = 1,
    sampling: Sampling = PLAIN,
    *,
    dense: bool = False,
    greedy: bool = False,
    enumerated: bool = False,
    encode: Callable[[Mapping[str, Tensor], Tensor], Context] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Rollout:
    """Answers of a policy to the episodes that an environment is at, scored by its feedback.

    The rows of the environment are at new episodes afterwards.

    Args:
        policy: The policy.
        envs: The environment, reset before; its m rows are the contexts.
        answers: k, the number of answers to each context, which is encoded once.
        sampling: How answers are drawn.
        dense: Whether the beginnings of answers are scored, too; see ``can_score_prefixes``.
        greedy: Whether the last of the k answers is the likeliest one.
        enumerated: Whether the answers are ``all_answers``.
        encode: Encodes contexts, of items (m,) int64; None for ``policy.encode`` without gradients.
        options: Of the reset that begins the new episodes.
    """
    asked = envs.prompts()
    answers = len(all_answers(envs)) if enumerated else answers
    prompts = several(asked, answers)
    encoded = _encoded(policy, asked.context) if encode is None else encode(asked.context, asked.item)
    hear = hearing(envs.task, prompts)
    with torch.no_grad():
        if enumerated:
            every, length = all_answers(envs), None
            response = every.repeat(len(asked), *[1] * (every.ndim - 1)).to(prompts.key.device)
        else:
            hashes = key_hashes(prompts.key, purpose("policy gradient"))
            response, length = sampled(policy, encoded, hashes, sampling, hear)
            if greedy:
                last = torch.arange(answers - 1, len(prompts), answers, device=hashes.device)
                there = hearing(envs.task, prompts.take(last))
                likeliest = sampled(policy, encoded, hashes[last], GREEDY, there)
                response, length = _replaced((response, length), likeliest, last)
        turns = None if hear is None else hear(response)
        truth = envs.task.utility(response, length, prompts.reference)
        episodes = Episodes(prompts.context, response, length, prompts.reference, prompts.key, truth, turns)
        reward = _given(envs, episodes)
        prefixes = prefix_scores(envs, prompts, response, length) if dense else None
    envs.reset(options=options)

    def grouped(values: Tensor) -> Tensor:
        return values.view(-1, answers, *values.shape[1:])

    return Rollout(
        asked.context,
        grouped(response),
        None if length is None else grouped(length),
        None if turns is None else {key: grouped(value) for key, value in turns.items()},
        grouped(reward),
        grouped(truth.reward),
        None if prefixes is None else grouped(prefixes),
        asked.item,
    )


def _encoded(policy: ResponsePolicy, context: Mapping[str, Tensor]) -> Context:
    """Contexts encoded without gradients, on the device of the policy."""
    there = next(policy.parameters()).device
    with torch.no_grad():
        return policy.encode({key: value.to(there) for key, value in context.items()})


def sampled(
    policy: ResponsePolicy, encoded: Context, hashes: Tensor, sampling: Sampling, hear: Hear | None = None
) -> Answered:
    """``policy.sample`` for hashes (n,) and replies of another device, on which the answers are returned."""
    there, here = encoded.pooled.device, hashes.device
    if there == here:
        return policy.sample(encoded, hashes, sampling, hear)

    def heard(response: Tensor) -> dict[str, Tensor]:
        assert hear is not None
        return {key: value.to(there) for key, value in hear(response.to(here)).items()}

    replies = None if hear is None else heard
    response, length = policy.sample(encoded, hashes.to(there), sampling, replies)
    return response.to(here), None if length is None else length.to(here)


def several(prompts: Prompts, answers: int) -> Prompts:
    """Every prompt so many times in a row, each time with a key of its own.

    By its key a simulated annotator judges each answer with its own noise: noise that all answers to a
    context share would vanish in a group baseline.
    """
    if answers == 1:
        return prompts
    rows = torch.arange(len(prompts), device=prompts.key.device).repeat_interleave(answers)
    seed, row, episode = prompts.key[rows].unbind(1)
    index = torch.arange(answers, device=row.device).repeat(len(prompts))
    key = torch.stack([seed, row * answers + index, episode], 1)
    # Pictures are repeated for feedback that looks at them only.
    context = Lazily(prompts.context, lambda value: value[rows])
    reference = {name: value[rows] for name, value in prompts.reference.items()}
    return Prompts(context, reference, key, prompts.item[rows])


def all_answers(envs: MultimodalVectorEnv) -> Tensor:
    """All answers that a task takes: its choices (A,), or its conversations (A, turns), int64.

    Raises:
        ValueError: Answers are of another kind, or more than 1,024.
    """
    kind = envs.task.answer
    if isinstance(kind, Choice):
        counts = [int(kind.action_space.n)]  # type: ignore[attr-defined]
    elif isinstance(kind, Turns):
        counts = [len(options) for options in kind.options]
    else:
        raise ValueError(
            f"enumerate needs a task of choices or turns, and its answers are {kind.name}: leave it out"
        )
    if math.prod(counts) > _MOST:
        raise ValueError(
            f"enumerate takes {_MOST:,} answers, and there are {math.prod(counts):,}: leave it out"
        )
    return torch.cartesian_prod(*map(torch.arange, counts))


def can_score_prefixes(envs: MultimodalVectorEnv) -> bool:
    """Whether the feedback can score the beginnings of answers, as dense credit needs."""
    feedback, kind = envs.feedback, envs.task.answer
    written = kind.sequential and not envs.task.turn_spaces
    return written and feedback.deterministic and feedback.scores_prefix


def prefix_scores(
    envs: MultimodalVectorEnv, prompts: Prompts, response: Tensor, length: Tensor | None
) -> Tensor:
    """What the feedback gives the first 1, 2, ... parts of n answers, (n, parts) float32."""
    kind = envs.task.answer
    steps = kind.steps_of(response)
    beginnings = [kind.beginning(response, length, step + 1) for step in range(steps)]
    rows = torch.arange(len(prompts), device=prompts.key.device).repeat(steps)
    sizes = [one[1] for one in beginnings if one[1] is not None]
    some = prompts.take(rows)
    episodes = Episodes(
        some.context,
        torch.cat([one[0] for one in beginnings]),
        torch.cat(sizes) if sizes else None,
        some.reference,
        some.key,
    )
    found = _given(envs, episodes).view(steps, -1).T
    parts = response.shape[1]
    # Parts behind the end of the longest answer keep the score of the whole.
    return torch.cat([found, found[:, -1:].expand(-1, parts - steps)], 1) if steps < parts else found


def parts_of(
    policy: ResponsePolicy, encoded: Context, rollout: Rollout, sampling: Sampling = PLAIN
) -> tuple[Parts, Tensor]:
    """The distributions of the parts of all answers, and their log-probabilities (m, k, parts)."""
    m, k = rollout.response.shape[:2]
    response = rollout.response.flatten(0, 1)
    length = None if rollout.length is None else rollout.length.flatten()
    turns = None if rollout.turns is None else {key: one.flatten(0, 1) for key, one in rollout.turns.items()}
    parts = policy.distribution(encoded, response, length, turns, sampling)
    return parts, parts.log_prob(response).view(m, k, -1)


def log_probs(policy: ResponsePolicy, rollout: Rollout) -> Tensor:
    """The log-probability of each answer, (m, k); every context is encoded once."""
    return parts_of(policy, policy.encode(rollout.context), rollout)[1].sum(2)


def _given(envs: MultimodalVectorEnv, episodes: Episodes) -> Tensor:
    """What the feedback gives episodes; 0 where it does not judge."""
    given = judgement(envs.feedback, episodes)
    return torch.where(given.judged, given.reward, 0.0)


def _replaced(answered: Answered, others: Answered, rows: Tensor) -> Answered:
    """Answers, some of them replaced by others."""
    response = answered[0].index_copy(0, rows, others[0])
    if answered[1] is None or others[1] is None:
        return response, None
    return response, answered[1].index_copy(0, rows, others[1])
