"""The algorithms of policy gradients by name: defaults of one trainer's settings."""

from __future__ import annotations

from dataclasses import dataclass

from agents.on_policy import OnPolicy
from agents.on_policy_settings import OnPolicySettings


@dataclass(frozen=True)
class REINFORCESettings(OnPolicySettings):
    """One answer to each context, against a learned value."""

    answers: int = 1
    baseline: str = "value"
    gae_lambda: float = 1.0


class REINFORCE(OnPolicy):
    """Williams, "Simple statistical gradient-following algorithms", 1992, with a learned baseline."""

    Settings = REINFORCESettings


@dataclass(frozen=True)
class SelfCriticalSettings(OnPolicySettings):
    """One answer to each context, against the likeliest one."""

    answers: int = 1
    baseline: str = "greedy"


class SelfCritical(OnPolicy):
    """Rennie et al., "Self-critical sequence training", 2017, arXiv 1612.00563."""

    Settings = SelfCriticalSettings


class RLOO(OnPolicy):
    """Each answer against the mean of the others (Ahmadian et al., 2024, arXiv 2402.14740)."""

    Settings = OnPolicySettings


@dataclass(frozen=True)
class GRPOSettings(OnPolicySettings):
    """Each answer against the mean of its group, divided by the standard deviation of the group."""

    baseline: str = "mean"
    normalisation: str = "std"


class GRPO(OnPolicy):
    """Shao et al., "DeepSeekMath", 2024, arXiv 2402.03300."""

    Settings = GRPOSettings


@dataclass(frozen=True)
class PPOSettings(OnPolicySettings):
    """Token-level PPO with a value."""

    answers: int = 1
    baseline: str = "value"
    standardise: bool = True
    epochs: int = 2
    minibatches: int = 4
    learning_rate: float = 1e-3
    value_warmup: int = 20


class PPO(OnPolicy):
    """Schulman et al., "Proximal policy optimization algorithms", 2017, arXiv 1707.06347, part by part."""

    Settings = PPOSettings


@dataclass(frozen=True)
class ExpertIterationSettings(OnPolicySettings):
    """The best of several answers is imitated."""

    baseline: str = "best"
    aggregation: str = "sequence_sum"


class ExpertIteration(OnPolicy):
    """RAFT: the best of n answers is imitated (Dong et al., 2023, arXiv 2304.06767)."""

    Settings = ExpertIterationSettings
