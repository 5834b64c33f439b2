"""Policies on held-out items: true utility as a share of the way from the blind to the oracle policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.acting import Policy
from agents.baselines import baseline_policy
from agents.evaluate import evaluate
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class Scores:
    """The true utility of a policy, the blind and the oracle policy on the same items, (items,) float64 each.

    Example:
        >>> import numpy as np
        >>> found = Scores(np.array([1.0, 0.5]), np.array([0.5, 0.5]), np.array([1.0, 1.0]), torch.arange(2))
        >>> found.score(), found.exact(), found.score(np.array([False, True]))
        (0.5, 0.5, 0.0)
    """

    utility: NDArray[np.float64]
    blind: NDArray[np.float64]
    oracle: NDArray[np.float64]
    items: Tensor

    def score(self, which: NDArray[np.bool_] | None = None) -> float:
        """(utility - blind) / (oracle - blind), of the means over all items or some of them."""
        kept = np.ones(len(self.utility), bool) if which is None else which
        utility, blind, oracle = (float(one[kept].mean()) for one in (self.utility, self.blind, self.oracle))
        return (utility - blind) / (oracle - blind)

    def exact(self) -> float:
        """The share of items whose answer is as good as that of the oracle policy."""
        return float((self.utility >= self.oracle - 1e-6).mean())


def held_out(task: Task, policy: Policy, items: int | None = None, split: str = "test") -> Scores:
    """A policy on the first items of a split, each once; all of them without a number."""
    envs, about = _shown(task, items, split)
    policies = (policy, baseline_policy(envs, "blind"), baseline_policy(envs, "oracle"))
    utility, blind, oracle = (evaluate(one, envs, items=about).utility for one in policies)
    return Scores(utility, blind, oracle, about)


def utilities(task: Task, policy: Policy) -> NDArray[np.float64]:
    """The true utility of a policy on each test item, in order."""
    envs, about = _shown(task, None, "test")
    return evaluate(policy, envs, items=about).utility


def _shown(task: Task, items: int | None, split: str) -> tuple[MultimodalVectorEnv, Tensor]:
    about = torch.tensor(task.dataset.range(split))[:items]
    return MultimodalVectorEnv(len(about), task, split=split, feedback="truth"), about
