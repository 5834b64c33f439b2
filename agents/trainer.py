"""What a trainer is: it collects experience, updates a policy, and can be saved between two updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import gymnasium as gym
import torch
from torch import Tensor

from agents.acting import Policy
from agents.curve import Curve
from agents.state import State
from agents.store import StoredFile
from mm_envs.names import at_least


@dataclass(frozen=True)
class Update:
    """What one update of a trainer reports.

    Attributes:
        rewards: Returns of the episodes that finished meanwhile.
        utilities: Their true utilities; NaN where the environment does not give them.
        metrics: Losses and other numbers by name.
    """

    rewards: Sequence[float] = ()
    utilities: Sequence[float] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


class Trainer(ABC):
    """Trains one policy in one vector environment; ``agents.learning.learn`` drives it.

    A new trainer is one file and one line in ``agents.trainers.TRAINERS``. Made again
    with the same arguments and given a saved state, it goes on bit for bit.

    Args:
        algo: Its name in the table.
        envs: The environment; its feedback gives the reward.
        settings: Settings of the algorithm; None for the defaults.
        policy_arguments: Arguments of the policy's network.
        seed: Decides initial weights, exploration, episodes and draws.

    Attributes:
        Settings: The dataclass of its settings, with at least a ``learning_rate``.
        members: The trainers of several environments, by name; empty for one.
        curve: The learning curve.
        total: The step at which the training ends.

    Raises:
        ValueError: The settings are those of another trainer, or their learning rate is below 0.
    """

    Settings: ClassVar[type[Any]]
    members: Mapping[str, Trainer] = MappingProxyType({})

    def __init__(
        self, algo: str, envs: Any, settings: Any, policy_arguments: Mapping[str, Any], seed: int
    ) -> None:
        self.algo, self.envs, self.seed = algo, envs, seed
        self.settings = self.Settings() if settings is None else settings
        if not isinstance(self.settings, self.Settings):
            raise ValueError(f"settings={settings} are not for algo={algo!r}: use {self.Settings.__name__}")
        at_least("learning_rate", self.settings.learning_rate, 0, "give a small positive number")
        self.policy_arguments = dict(policy_arguments)
        self.curve, self.total = Curve(), 0

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps so far: transitions of all rows, or answers where a step is a whole answer."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the policy lives."""

    @property
    @abstractmethod
    def network(self) -> torch.nn.Module:
        """Everything that is trained."""

    @abstractmethod
    def begin(self, steps: int) -> None:
        """Prepares for so many further steps, also after a state was loaded."""

    def check(self, steps: int) -> None:  # noqa: B027 - most trainings fit
        """Refuses so many further steps where they, or the environment, do not fit; changes nothing.

        Raises:
            ValueError: They do not fit.
        """

    @abstractmethod
    def update(self) -> Update:
        """Collects a rollout and learns from it."""

    @abstractmethod
    def policy(self) -> Policy:
        """The policy as it is now, for any number of rows; it takes the likeliest actions."""

    @abstractmethod
    def state_dict(self) -> State:
        """Everything that the next update depends on, but for files; see ``write_files``."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""

    def write_files(self, folder: Path, before: Sequence[StoredFile]) -> list[StoredFile]:
        """Writes state that is too large for every checkpoint, as ``replay-START-END.safetensors``.

        Files of the checkpoint before are never changed. Returns the files of this one.
        """
        return []

    def read_files(self, folder: Path, files: Sequence[StoredFile]) -> None:
        """Puts back what ``write_files`` wrote.

        Raises:
            ValueError: The files are not those of this trainer.
        """
        if files:
            raise ValueError(f"{folder} holds files that algo={self.algo!r} does not write: train again")

    @classmethod
    def environment_arguments(cls, settings: Any) -> dict[str, Any]:
        """Arguments that the environment of a training has to be made with."""
        return {}

    @staticmethod
    def stored_policy_arguments() -> list[str]:
        """The names of the arguments of a policy that a file may hold."""
        return ["features", "hidden", "fusion", "decoder", "encoders", "trainable"]

    def config(self) -> dict[str, Any]:
        """What else the file of a saved policy holds, as JSON values."""
        return {}

    def weights(self) -> dict[str, Tensor]:
        """Weights and persistent buffers of the policy by name, shared ones once."""
        known = self.network.state_dict().keys()
        several = (*self.network.named_parameters(), *self.network.named_buffers())
        return {name: tensor for name, tensor in several if name in known}


def vector_environment(envs: object) -> gym.vector.VectorEnv[Any, Any, Any]:
    """The environment; raises ``ValueError`` unless it is a vector environment."""
    if not isinstance(envs, gym.vector.VectorEnv):
        label = repr(envs) if isinstance(envs, str) else f"of type {type(envs).__name__}"
        name = envs if isinstance(envs, str) else "ID"
        raise ValueError(f"envs is {label}: make it with gym.make_vec({name!r}, num_envs=N)")
    return envs
