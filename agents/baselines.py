"""Baseline policies, which need no training: random, blind and oracle."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from agents.acting import Policy, StepCounter
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import check_one_of
from mm_envs.random import fold, purpose
from mm_envs.tasks.scores import Baselines

NAMES = ("random", "oracle", "blind")


def baseline_policy(envs: MultimodalVectorEnv, name: str) -> Policy:
    """The "random", "oracle" or "blind" policy for one environment, where the oracle looks up the reference.

    Raises:
        ValueError: The name is not one of these.

    Example:
        >>> import torch
        >>> envs = MultimodalVectorEnv(2, "classify", dataset="digits")
        >>> observation, info = envs.reset(seed=1)
        >>> baseline_policy(envs, "oracle")(observation, torch.arange(2)).shape
        torch.Size([2])
    """
    check_one_of("--policy", name, NAMES)
    baselines, count = Baselines(envs.task), StepCounter()

    def act(observation: Mapping[str, Tensor], hashes: Tensor) -> Tensor:
        _, step = count(hashes)
        if name == "oracle":
            response = baselines.oracle(envs.reference())
        elif name == "blind":
            response = baselines.blind(observation, len(hashes))
        else:
            response = baselines.random(fold(hashes, purpose("random policy")))
        return envs.task.answer.action(response, step)

    return act
