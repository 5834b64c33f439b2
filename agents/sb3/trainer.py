"""Stable-Baselines3 as a backend: PPO, A2C and DQN as trainers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from agents.acting import Policy
from agents.encoders.choice import NAMES, EncoderChoice
from agents.generators import GlobalGenerators, global_generators_kept
from agents.sb3.buffer import DeviceRolloutBuffer
from agents.sb3.policy import DevicePolicy, RowwiseDQN, sb3_policy
from agents.sb3.policy import policy_arguments as network_arguments
from agents.sb3.replay import read_all, write_new
from agents.sb3.settings import A2CSettings, DQNSettings, PPOSettings
from agents.sb3.vec_env import DeviceVecEnv
from agents.state import State, copy_tensors, load_optimizer_state, optimizer_state
from agents.store import StoredFile
from agents.trainer import Trainer, Update, vector_environment
from mm_envs.names import keywords, refuse_unknown


class SB3Trainer(Trainer):
    """An algorithm of Stable-Baselines3, driven update by update; a step is a transition of one row.

    The process-wide generators are left as they were; the algorithm draws from its own states of them, so
    that what it learns depends on its seed alone.

    The environment is one of ours or any ``VecEnv``; the arguments of the policy are ``features``, ``fusion``
    and ``hidden`` of ``agents.sb3.policy``.

    Attributes:
        model: The algorithm, with its policy and environment.
        generators: The states of the process-wide generators between two updates.
    """

    algorithm: ClassVar[type[BaseAlgorithm]]
    counters: ClassVar[tuple[str, ...]] = ("num_timesteps", "_n_updates", "_episode_num")
    numpy: ClassVar[bool] = False

    def __init__(
        self,
        algo: str,
        envs: Any,
        settings: Any = None,
        policy_arguments: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(algo, envs, settings, policy_arguments or {}, seed)
        refuse_unknown("the policy", self.policy_arguments, self.stored_policy_arguments())
        network = network_arguments(**self.policy_arguments)
        chosen = {name: self.policy_arguments.pop(name, None) for name in NAMES}
        choice = EncoderChoice(chosen["encoders"] or {}, chosen["trainable"] or "all")
        self.policy_arguments |= choice.arguments()
        self._check(envs)
        vec_env = envs if isinstance(envs, VecEnv) else DeviceVecEnv(envs, numpy=self.numpy)
        with global_generators_kept():
            self.model = self.algorithm(
                DevicePolicy if issubclass(self.algorithm, (PPO, A2C)) else "MultiInputPolicy",
                vec_env,
                seed=seed,
                device=str(device or getattr(vec_env, "device", "cpu")),
                policy_kwargs=network,
                **self._arguments(vec_env.num_envs),
            )
            self.generators = GlobalGenerators.capture()
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self._episodes = _Episodes()

    def _check(self, envs: Any) -> None:
        """Refuses environments that do not fit."""
        if not isinstance(envs, VecEnv):
            vector_environment(envs)
        elif not isinstance(envs.observation_space, gym.spaces.Dict):
            kind = type(envs.observation_space).__name__
            raise ValueError(
                f"the policies need Dict observations and these are {kind}: leave out wrappers that take "
                "the Dict apart, such as VecExtractDictObs"
            )

    def _arguments(self, rows: int) -> dict[str, Any]:
        return {**self.settings.arguments(rows), "rollout_buffer_class": DeviceRolloutBuffer}

    @staticmethod
    def stored_policy_arguments() -> list[str]:
        """The arguments of ``agents.sb3.policy.policy_arguments``."""
        return keywords(network_arguments)[0]

    @property
    def step(self) -> int:
        """Transitions so far, all rows counted."""
        return self.model.num_timesteps

    @property
    def device(self) -> torch.device:
        """Where the policy lives."""
        return self.model.device

    @property
    def network(self) -> torch.nn.Module:
        """All networks, a target included."""
        return self.model.policy

    def policy(self) -> Policy:
        """The policy; it takes the likeliest actions."""
        return sb3_policy(self.model)

    def begin(self, steps: int) -> None:
        """Sets the end of the training, and resets an environment that was not reset yet."""
        with self._own_generators():
            fresh = self.model._last_obs is None
            self.total, _ = self.model._setup_learn(steps, self._episodes, reset_num_timesteps=fresh)

    def update(self) -> Update:
        """One rollout, and what the algorithm learns from it."""
        self._episodes.rewards, self._episodes.utilities = [], []
        with self._own_generators():
            self._collect_and_learn()
        logger = self.model.logger
        numbers = (int, float, np.number)
        metrics = {name: float(v) for name, v in logger.name_to_value.items() if isinstance(v, numbers)}
        logger.dump()
        return Update(self._episodes.rewards, self._episodes.utilities, metrics)

    def _collect_and_learn(self) -> None:
        model: Any = self.model
        model.collect_rollouts(model.env, self._episodes, model.rollout_buffer, n_rollout_steps=model.n_steps)
        model._update_current_progress_remaining(model.num_timesteps, self.total)
        model.train()

    @contextmanager
    def _own_generators(self) -> Iterator[None]:
        """While it lasts, the process-wide generators are those of this trainer."""
        with global_generators_kept():
            self.generators.restore()
            try:
                yield
            finally:
                self.generators = GlobalGenerators.capture()

    def state_dict(self) -> State:
        """Networks, optimizer, counters, generators and the environment; see ``write_files``, too."""
        model = self.model
        env: Any = model.env
        starts = torch.from_numpy(np.array(model._last_episode_starts))
        return State.join(
            model=State(
                {
                    "counters": {name: getattr(model, name) for name in self.counters},
                    "action_space": model.action_space.np_random.bit_generator.state,
                },
                {"episode_starts": starts},
            ),
            policy=State(tensors=self.weights()),
            optimizer=optimizer_state(model.policy.optimizer),
            generators=State(self.generators.numbers(), self.generators.tensors()),
            engine=State(tensors=env.state_dict()),
        )

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        model, own, generators = self.model, state.part("model"), state.part("generators")
        env: Any = model.env
        copy_tensors(self.weights(), state.part("policy").tensors, "policy")
        load_optimizer_state(model.policy.optimizer, state.part("optimizer"))
        for name in self.counters:
            kind = type(getattr(model, name))
            setattr(model, name, kind(own.values["counters"][name]))
        model.action_space.np_random.bit_generator.state = own.values["action_space"]
        model._last_obs = env.load_state_dict(state.part("engine").tensors)
        model._last_episode_starts = own.tensors["episode_starts"].numpy().astype(bool)
        self.generators = GlobalGenerators.of(generators.values, generators.tensors)


class PPOTrainer(SB3Trainer):
    """Proximal policy optimisation."""

    algorithm, Settings = PPO, PPOSettings


class A2CTrainer(SB3Trainer):
    """Advantage actor-critic."""

    algorithm, Settings = A2C, A2CSettings


class DQNTrainer(SB3Trainer):
    """Deep Q-learning; its replay buffer is kept in files of its own."""

    algorithm, Settings, numpy = RowwiseDQN, DQNSettings, True
    counters = (*SB3Trainer.counters, "_n_calls", "exploration_rate", "_current_progress_remaining")
    model: RowwiseDQN

    def _check(self, envs: Any) -> None:
        super()._check(envs)
        space = envs.action_space if isinstance(envs, VecEnv) else envs.single_action_space
        if not isinstance(space, gym.spaces.Discrete):
            kind = type(space).__name__
            raise ValueError(f"algo={self.algo!r} needs Discrete actions and these are {kind}: use sb3-ppo")

    def _arguments(self, rows: int) -> dict[str, Any]:
        arguments: dict[str, Any] = self.settings.arguments(rows)
        return arguments

    def _collect_and_learn(self) -> None:
        model: Any = self.model
        model.collect_rollouts(
            model.env,
            train_freq=model.train_freq,
            action_noise=None,
            callback=self._episodes,
            learning_starts=model.learning_starts,
            replay_buffer=model.replay_buffer,
            log_interval=None,
        )
        if model.num_timesteps > model.learning_starts:
            model.train(batch_size=model.batch_size, gradient_steps=model.gradient_steps)

    @property
    def _buffer(self) -> DictReplayBuffer:
        assert isinstance(self.model.replay_buffer, DictReplayBuffer)
        return self.model.replay_buffer

    def state_dict(self) -> State:
        """What every algorithm keeps, and the generator of the exploration."""
        exploration = State(dict(self.model.exploration.bit_generator.state))
        return State.join(trainer=super().state_dict(), exploration=exploration)

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        super().load_state_dict(state.part("trainer"))
        self.model.exploration.bit_generator.state = state.values["exploration"]

    def write_files(self, folder: Path, before: Sequence[StoredFile]) -> list[StoredFile]:
        """Writes the transitions that no file holds yet."""
        return write_new(folder, self._buffer, self.model._n_calls, before)

    def read_files(self, folder: Path, files: Sequence[StoredFile]) -> None:
        """Fills the replay buffer."""
        read_all(folder, self._buffer, self.model._n_calls, files)


class _Episodes(BaseCallback):
    """Takes the returns and utilities of finished episodes from the infos."""

    def __init__(self) -> None:
        super().__init__()
        self.rewards: list[float] = []
        self.utilities: list[float] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.rewards.append(info["episode"]["r"])
                self.utilities.append(info.get("utility", float("nan")))
        return True
