"""Making and training an agent of Stable-Baselines3 in a multimodal environment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from agents.generators import GlobalGenerators, global_generators_kept
from agents.sb3.buffer import DeviceRolloutBuffer
from agents.sb3.checkpoints import CheckpointCallback, Checkpoints, Stopped
from agents.sb3.dqn import RowwiseDQN
from agents.sb3.extractor import policy_arguments
from agents.sb3.policy import DevicePolicy
from agents.sb3.progress import Curve, Progress, ProgressCallback
from agents.sb3.settings import SETTINGS, Settings
from agents.sb3.vec_env import DeviceVecEnv
from mm_envs.names import at_least, keywords, one_of, refuse_unknown
from mm_envs.optional import require

_ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "a2c": A2C, "dqn": RowwiseDQN}


@dataclass
class Agent:
    """An agent in training: the model of Stable-Baselines3 and what is needed to go on or to save it.

    Attributes:
        model: The algorithm, with its policy and environment.
        algo: Its name here.
        settings: Its settings.
        policy: The arguments of ``policy_arguments``.
        seed: The seed it was made with.
        generators: Where its random draws stand.
        curve: Its learning curve.
    """

    model: BaseAlgorithm
    algo: str
    settings: Settings
    policy: dict[str, Any]
    seed: int
    generators: GlobalGenerators
    curve: Curve = field(default_factory=Curve)


def make_agent(
    algo: str,
    envs: gym.vector.VectorEnv[Any, Any, Any] | VecEnv,
    *,
    seed: int = 0,
    settings: Settings | None = None,
    tensorboard: str | None = None,
    device: torch.device | str | None = None,
    **policy: Any,
) -> Agent:
    """An untrained agent for an environment. The process-wide generators are left as they were.

    Args:
        algo: "ppo", "a2c" or "dqn".
        envs: A multimodal vector environment, or any ``VecEnv`` of Stable-Baselines3.
        seed: Decides the initial weights, the exploration and the episodes.
        settings: Of the algorithm; None for its defaults.
        tensorboard: A folder for TensorBoard, or None.
        device: Where the policy lives; None for the device of the environment.
        policy: ``features``, ``fusion`` and ``hidden`` of ``agents.sb3.extractor.policy_arguments``.

    Raises:
        ValueError: The algorithm is unknown or does not fit the actions, the settings are those of another
            one, an argument of the policy does not fit, or ``envs`` is no vector environment.

    Example:
        >>> from mm_envs.engine.vector import MultimodalVectorEnv
        >>> envs = MultimodalVectorEnv(8, "classify", dataset="digits", feedback="truth")
        >>> agent = make_agent("ppo", envs, seed=1, features=32)
        >>> agent.model.n_steps
        256
    """
    if algo not in _ALGORITHMS:
        raise ValueError(one_of("algo", algo, _ALGORITHMS))
    if tensorboard is not None:
        require("tensorboard")
    settings = settings or SETTINGS[algo]()
    if not isinstance(settings, SETTINGS[algo]):
        raise ValueError(f"settings={settings} are not for algo={algo!r}: use {SETTINGS[algo].__name__}")
    refuse_unknown("the policy", policy, keywords(policy_arguments)[0])
    policy_kwargs = policy_arguments(**policy)
    vec_env = _vec_env(algo, envs)
    on_policy = algo != "dqn"
    arguments = settings.arguments(vec_env.num_envs)
    if on_policy:
        arguments["rollout_buffer_class"] = DeviceRolloutBuffer
    with global_generators_kept():
        model = _ALGORITHMS[algo](
            DevicePolicy if on_policy else "MultiInputPolicy",
            vec_env,
            seed=seed,
            device=str(device or getattr(vec_env, "device", "cpu")),
            tensorboard_log=tensorboard,
            policy_kwargs=policy_kwargs,
            **arguments,
        )
        return Agent(model, algo, settings, policy, seed, GlobalGenerators.capture())


def _vec_env(algo: str, envs: object) -> VecEnv:
    if not isinstance(envs, (VecEnv, gym.vector.VectorEnv)):
        said = repr(envs) if isinstance(envs, str) else f"of type {type(envs).__name__}"
        name = envs if isinstance(envs, str) else "ID"
        raise ValueError(f"envs is {said}: make it with gym.make_vec({name!r}, num_envs=N)")
    space = envs.action_space if isinstance(envs, VecEnv) else envs.single_action_space
    if algo == "dqn" and not isinstance(space, gym.spaces.Discrete):
        kind = type(space).__name__
        raise ValueError(f"algo='dqn' needs Discrete actions and these are {kind}: use ppo or a2c")
    return envs if isinstance(envs, VecEnv) else DeviceVecEnv(envs, numpy=algo == "dqn")


def learn(
    agent: Agent,
    steps: int,
    on_progress: Callable[[Progress], None] | None = None,
    window: int = 1000,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Trains for a number of environment steps, all rows counted; called again, the training goes on.

    ``rollout/reward`` and ``rollout/utility``, the running means of both over the last finished episodes, are
    logged beside what Stable-Baselines3 logs. The process-wide generators are left as they were; the agent
    draws from its own states of them, so that what it learns depends on its seed alone.

    Args:
        agent: The agent.
        steps: Environment steps; completed to whole rollouts.
        on_progress: Called after every rollout, at most about 500 times, and at the end.
        window: How many finished episodes the means run over.
        checkpoints: Where to keep what ``resume`` needs, or None. Its ``stop`` ends the training.

    Raises:
        ValueError: ``steps`` or ``window`` is below 1, or the state of the environment cannot be kept.
    """
    at_least("steps", steps, 1, "train for at least one step")
    at_least("window", window, 1)
    agent.curve.keep(window)
    callbacks: list[BaseCallback] = [ProgressCallback(agent.curve, on_progress)]
    if checkpoints is not None:
        callbacks.append(CheckpointCallback(agent, checkpoints))
    _train(agent, steps, callbacks)


def resume(
    agent: Agent, checkpoints: Checkpoints, on_progress: Callable[[Progress], None] | None = None
) -> None:
    """Goes on with a training that was stopped or killed, from its newest checkpoint to its end.

    On the CPU, with the same packages and the same number of threads, the result is bit for bit that of a
    training which was never stopped. ``agent.curve`` holds the whole learning curve.

    Args:
        agent: Made as the agent of that training was: same algorithm, settings, policy, seed, environment.
        checkpoints: Where its checkpoints are, and when further ones shall be written.
        on_progress: As for ``learn``, for what is still to come.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: No checkpoint is whole, or the agent is not that of the training (another vocabulary,
            dataset, environment, setting, ...): the sentence says what was what, and is now.

    Example:
        >>> import gymnasium, tempfile, mm_envs
        >>> def made():
        ...     envs = gymnasium.make_vec("MMClassify-digits-v0", 4, feedback="truth")
        ...     return make_agent("a2c", envs, seed=1, features=16)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     agent, again, checkpoints = made(), made(), Checkpoints(folder)
        ...     checkpoints.stop()
        ...     learn(agent, 256, checkpoints=checkpoints)  # ends at once, with a checkpoint
        ...     resume(again, Checkpoints(folder))
        >>> agent.model.num_timesteps, again.model.num_timesteps
        (0, 256)
    """
    resumed = checkpoints.restore(agent)
    callbacks = [
        ProgressCallback(agent.curve, on_progress),
        CheckpointCallback(agent, checkpoints, resumed),
    ]
    _train(agent, resumed.steps_left, callbacks)


def _train(agent: Agent, steps: int, callbacks: list[BaseCallback]) -> None:
    with global_generators_kept():
        agent.generators.restore()
        with suppress(Stopped):
            agent.model.learn(
                steps,
                callback=callbacks,
                # DQN counts episodes here, and with many rows every step ends many.
                log_interval=1 if agent.algo != "dqn" else 8 * agent.model.n_envs,
                tb_log_name=agent.algo,
                reset_num_timesteps=agent.model._last_obs is None,
            )
        agent.generators = GlobalGenerators.capture()
