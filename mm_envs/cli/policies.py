"""The policies that need no learning, as policies that act in an environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mm_envs.names import one_of

if TYPE_CHECKING:
    from torch import Tensor

    from mm_envs.engine.vector import MultimodalVectorEnv

    Policy = Callable[[Mapping[str, Tensor]], Tensor]

NAMES = ("random", "oracle", "blind")


def yardstick(envs: MultimodalVectorEnv, name: str, seed: int = 0) -> Policy:
    """A policy that answers without learning, in one environment.

    Args:
        envs: The environment it acts in; the oracle looks up the truth there.
        name: "random", "oracle" or "blind".
        seed: Of the random policy.

    Raises:
        ValueError: The name is not one of these.
    """
    import torch

    from mm_envs.random import fold, stream
    from mm_envs.tasks.scores import Baselines

    if name not in NAMES:
        raise ValueError(one_of("--policy", name, NAMES))
    baselines, rows = Baselines(envs.task), torch.arange(envs.num_envs, device=envs.device)
    counter = iter(range(2**62))

    def act(observation: Mapping[str, Any]) -> Tensor:
        if name == "oracle":
            response = baselines.oracle(envs.reference())
        elif name == "blind":
            response = baselines.blind(observation, envs.num_envs)
        else:
            response = baselines.random(fold(stream(seed, "random policy", envs.device), next(counter), rows))
        return envs.action_at(response)

    return act
