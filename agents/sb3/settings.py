"""Settings of the algorithms, one dataclass each, with defaults that follow the number of rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mm_envs.names import at_least


@dataclass(frozen=True)
class PPOSettings:
    """Proximal policy optimisation (Schulman et al., 2017), for many rows and short episodes.

    The defaults of Stable-Baselines3 (2,048 steps, minibatches of 64, ten epochs) are meant for one row; with
    1,024 rows they would make 327,680 updates per rollout.

    Attributes:
        n_steps: Steps per rollout and row; None for 2,048 transitions in all, at least 4 steps.
        n_minibatches: Updates per epoch; the size of a minibatch follows from it.
        n_epochs: Passes over a rollout.
        learning_rate: Of Adam, at the start.
        decay: Whether the learning rate falls linearly to zero.
        gamma: Discount; 1 since every episode is short and ends.
        gae_lambda: Of generalised advantage estimation.
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the value loss.
        clip_range: Of the probability ratio.
        max_grad_norm: Gradients are scaled down to this norm.
    """

    n_steps: int | None = None
    n_minibatches: int = 8
    n_epochs: int = 4
    learning_rate: float = 1e-3
    decay: bool = True
    gamma: float = 1.0
    gae_lambda: float = 0.95
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    clip_range: float = 0.2
    max_grad_norm: float = 0.5

    def arguments(self, rows: int) -> dict[str, Any]:
        """The arguments of ``stable_baselines3.PPO`` for a number of rows.

        Example:
            >>> chosen = PPOSettings().arguments(rows=256)
            >>> chosen["n_steps"], chosen["batch_size"]
            (8, 256)
        """
        n_steps = _steps(self.n_steps, max(4, 2048 // rows))
        total = n_steps * rows
        # The nearest number that divides the rollout; advantages are normalised, which takes two of them.
        divide = (m for m in range(self.n_minibatches, 1, -1) if total % m == 0 and total > m)
        batch_size = total // next(divide, 1)
        return _arguments(self, "n_minibatches", n_steps=n_steps, batch_size=batch_size)


@dataclass(frozen=True)
class A2CSettings:
    """Advantage actor-critic (Mnih et al., 2016): one update per rollout.

    So it learns by the number of rollouts, and few rows (64 or less) get more out of the same transitions.

    Attributes:
        n_steps: Steps per rollout and row; None for 128 transitions in all.
        learning_rate: Of Adam; this and the rest as in ``PPOSettings``.
    """

    n_steps: int | None = None
    learning_rate: float = 2e-3
    decay: bool = True
    gamma: float = 1.0
    gae_lambda: float = 0.95
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5

    def arguments(self, rows: int) -> dict[str, Any]:
        """The arguments of ``stable_baselines3.A2C`` for a number of rows."""
        n_steps = _steps(self.n_steps, max(1, 128 // rows))
        return _arguments(self, n_steps=n_steps, normalize_advantage=True, use_rms_prop=False)


@dataclass(frozen=True)
class DQNSettings:
    """Deep Q-learning (Mnih et al., 2015), with one exploration coin per row.

    Attributes:
        buffer_size: Transitions in the replay buffer, each with two observations, in host memory.
        learning_starts: Transitions before the first update.
        batch_size: Transitions per update.
        transitions_per_update: New transitions for each update.
        learning_rate: Of Adam, at the start.
        decay: Whether the learning rate falls linearly to zero.
        gamma: Discount; 1 since every episode is short and ends.
        target_update_interval: Transitions between two copies of the network to its target.
        exploration_fraction: Share of the training over which exploration falls to its final rate.
        exploration_final_eps: The final rate.
        max_grad_norm: Gradients are scaled down to this norm.
    """

    buffer_size: int = 20_000
    learning_starts: int = 1_000
    batch_size: int = 256
    transitions_per_update: int = 32
    learning_rate: float = 1e-3
    decay: bool = True
    gamma: float = 1.0
    target_update_interval: int = 1_000
    exploration_fraction: float = 0.3
    exploration_final_eps: float = 0.05
    max_grad_norm: float = 10.0

    def arguments(self, rows: int) -> dict[str, Any]:
        """The arguments of ``stable_baselines3.DQN`` for a number of rows."""
        return _arguments(
            *(self, "transitions_per_update"),
            buffer_size=max(self.buffer_size, rows),
            train_freq=max(1, self.transitions_per_update // rows),
            gradient_steps=max(1, rows // self.transitions_per_update),
        )


def _arguments(settings: Any, *without: str, **others: Any) -> dict[str, Any]:
    """The settings but some, with others; the learning rate as a function of what remains, 1 to 0."""
    given = {name: value for name, value in asdict(settings).items() if name not in ("decay", *without)}
    start, decay = settings.learning_rate, settings.decay
    rate = {"learning_rate": lambda remaining: start * remaining if decay else start}
    return {**given, **rate, **others}


def _steps(given: int | None, default: int) -> int:
    if given is None:
        return default
    at_least("n_steps", given, 1, "leave it out for a number that fits the rows")
    return given
