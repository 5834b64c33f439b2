"""Best-of-n: the best of n answers by a score; how far it is from the policy, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.acting import AnsweringPolicy
from agents.context import Context
from agents.losses import best_of_n_kl, best_of_n_kl_bound, best_of_n_probabilities, expected_best_of_n
from agents.policy import ResponsePolicy
from agents.rollout import Rollout, draw_rollout, parts_of
from mm_envs.answers import Choice
from mm_envs.batch import Lazily
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Feedback
from mm_envs.feedback_sources import judgement
from mm_envs.names import at_least, whole
from mm_envs.random import fold
from mm_envs.tasks.task import Task


class BestOfN(AnsweringPolicy):
    """A policy that draws n answers and gives the one with the highest score; of equal ones the first.

    Stiennon et al., 2020, arXiv 2009.01325. Draws and best are those of ``agents.losses.best_of_n_kl``.

    Args:
        model: The policy that is drawn from.
        task: The task.
        score: Feedback that does not see the reference, such as a reward model; or a function from
            ``Episodes`` of context and answers to scores (n,) float.
        n: Answers.
        temperature: Of the draws.

    Raises:
        ValueError: n is below 1, the feedback needs the reference, or the task is a conversation.

    Example:
        >>> from agents.acting import EpisodeHashes
        >>> envs = MultimodalVectorEnv(2, "classify", dataset="digits")
        >>> model = ResponsePolicy(envs.task, features=16, hidden=16)
        >>> policy = BestOfN(model, envs.task, lambda episodes: -episodes.response.float(), n=64)
        >>> observation, info = envs.reset(seed=1)
        >>> policy(observation, EpisodeHashes(1, 2)(info)).tolist()
        [0, 0]
    """

    def __init__(
        self,
        model: ResponsePolicy,
        task: Task,
        score: Feedback | Callable[[Episodes], Tensor],
        n: int = 4,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(model, task, temperature)
        whole("n", n)
        at_least("n", n, 1, "draw at least one answer")
        if task.turn_spaces:
            raise ValueError(
                "best-of-n draws whole answers, and replies of a conversation are not known before: take "
                "AnsweringPolicy"
            )
        if isinstance(score, Feedback) and score.sees_reference:
            raise ValueError(
                f"feedback {type(score).__name__} needs the reference, which a policy does not see: give a "
                "reward model or a function of Episodes"
            )
        self.n, self._score = n, score

    def _draw(self, context: Mapping[str, Tensor], encoded: Context, hashes: Tensor) -> Tensor:
        several = fold(hashes[:, None], torch.arange(self.n, device=hashes.device)).flatten()
        response, length = self.model.sample(encoded, several, self.temperature)
        rows = torch.arange(len(hashes), device=hashes.device).repeat_interleave(self.n)
        episodes = Episodes(Lazily(context, lambda value: value[rows]), response, length)
        best = self._scores(episodes).view(-1, self.n).argmax(1)
        return response[torch.arange(len(hashes), device=hashes.device) * self.n + best]

    def _scores(self, episodes: Episodes) -> Tensor:
        if isinstance(self._score, Feedback):
            given = judgement(self._score, episodes)
            return torch.where(given.judged, given.reward, -torch.inf)
        return self._score(episodes)


@dataclass(frozen=True)
class BestOf:
    """What the best of n answers is worth, the mean over contexts.

    Attributes:
        n: Answers.
        kl: KL(best of n || policy) in nats, exact; None where answers cannot be enumerated.
        kl_bound: ``log n - (n - 1) / n``, which the exact one does not exceed, and is without ties.
        reward: The expected reward, by which the best is chosen.
        utility: The expected true utility.
    """

    n: int
    kl: float | None
    kl_bound: float
    reward: float
    utility: float


def best_of_n_curve(
    policy: ResponsePolicy, envs: MultimodalVectorEnv, ns: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
) -> list[BestOf]:
    """What the best of n answers by the feedback of an environment is worth, without a draw.

    All choices are scored once, which gives the exact chances of the best of n. The feedback over-optimises
    where the reward goes on rising and the utility does not (Gao et al., 2022, arXiv 2210.10760).

    Args:
        policy: The policy that is drawn from, at a temperature of 1.
        envs: An environment of choices that was reset; each row is a context. Its rows are at new episodes
            afterwards.
        ns: Numbers of answers.

    Raises:
        ValueError: Answers are no choices, or a number is below 1.

    Example:
        >>> envs = MultimodalVectorEnv(16, "classify", dataset="digits", feedback="truth")
        >>> _ = envs.reset(seed=1)
        >>> curve = best_of_n_curve(ResponsePolicy(envs.task, features=16, hidden=16), envs, (1, 16))
        >>> [one.n for one in curve], round(curve[0].kl, 6), curve[1].utility > curve[0].utility
        ([1, 16], 0.0, True)
    """
    rollout = draw_rollout(policy, envs, enumerated=True)
    p = _probabilities(policy, rollout).double()
    assert rollout.reward is not None
    assert rollout.utility is not None
    reward, utility = (one.to(p.device) for one in (rollout.reward, rollout.utility))
    found = []
    for n in ns:
        q = best_of_n_probabilities(p, reward, n)
        kl = best_of_n_kl(p, reward, n).clamp(min=0)
        means = [float(one.mean()) for one in (kl, (q * reward).sum(1), (q * utility).sum(1))]
        found.append(BestOf(n, means[0], best_of_n_kl_bound(n), means[1], means[2]))
    return found


def best_of_n_sampled(
    policy: ResponsePolicy, envs: MultimodalVectorEnv, ns: Sequence[int] = (1, 2, 4, 8, 16)
) -> list[BestOf]:
    """``best_of_n_curve`` for answers of any kind, from max(ns) draws to each context, without bias.

    See ``agents.losses.expected_best_of_n``.

    Args:
        policy: As in ``best_of_n_curve``.
        envs: As in ``best_of_n_curve``, with answers of any kind.
        ns: Numbers of answers.

    Raises:
        ValueError: A number is below 1.
    """
    rollout = draw_rollout(policy, envs, max(ns))
    assert rollout.reward is not None
    assert rollout.utility is not None
    reward, utility = rollout.reward, rollout.utility
    found = []
    for n in ns:
        means = [float(expected_best_of_n(reward, one, n).double().mean()) for one in (reward, utility)]
        found.append(BestOf(n, None, best_of_n_kl_bound(n), *means))
    return found


def best_of_n(policy: ResponsePolicy, envs: MultimodalVectorEnv, n: int) -> list[BestOf]:
    """What the best of 1, 2, 4, ..., n answers is worth: exact for choices, else from n draws.

    The arguments are those of ``best_of_n_curve``.

    Raises:
        ValueError: n is below 1.

    Example:
        >>> envs = MultimodalVectorEnv(16, "classify", dataset="digits", feedback="truth")
        >>> _ = envs.reset(seed=1)
        >>> found = best_of_n(ResponsePolicy(envs.task, features=16, hidden=16), envs, 6)
        >>> [one.n for one in found]
        [1, 2, 4, 6]
    """
    at_least("n", n, 1, "draw at least one answer")
    ns = [*(2**power for power in range((n - 1).bit_length())), n]
    exact = isinstance(envs.task.answer, Choice)
    return best_of_n_curve(policy, envs, ns) if exact else best_of_n_sampled(policy, envs, ns)


@torch.no_grad()
def _probabilities(policy: ResponsePolicy, rollout: Rollout) -> Tensor:
    """Of all choices, (m, choices)."""
    there = rollout.to(next(policy.parameters()).device)
    log_prob = parts_of(policy, policy.encode(there.context), there)[1]
    return log_prob[:, :, 0].exp()
