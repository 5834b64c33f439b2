"""Agents trained on the default feedback, and their utility on each held-out item."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from agents.sb3.settings import PPOSettings
from agents.trainer import Trainer
from benchmarks.scores import utilities
from mm_envs.data import Dataset
from mm_envs.random import fold, stream
from mm_envs.tasks.scores import BASELINES, Baselines
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class Training:
    """The training of an agent.

    Attributes:
        steps: Steps of the trainer.
        rows: Rows of the vector environment.
        seed: Of the agent and its episodes.
        settings: Of the algorithm.
        algo: A name of ``agents.trainers.TRAINERS``.
    """

    steps: int
    rows: int = 256
    seed: int = 0
    settings: Any = field(default_factory=PPOSettings)
    algo: str = "sb3-ppo"

    def short(self) -> Training:
        """A few steps of PPO, to show that it runs."""
        return replace(self, steps=128, rows=32, settings=replace(self.settings, n_steps=4))


def tuned_agent(
    id: str, algo: str, feedback: str, seed: int, share: float = 1.0
) -> tuple[Trainer, Task, float]:
    """An agent trained with its tuned settings, its task, and the processor time of the training in seconds.

    Args:
        id: The environment.
        algo: A name of ``agents.trainers.TRAINERS``.
        feedback: The source of the reward.
        seed: Of the agent and its episodes.
        share: Of the tuned number of steps.
    """
    from agents.learning import learn
    from agents.trainers import make_settings, make_trainer
    from agents.tuned import settings_for, tuned

    usual = tuned(id, algo)
    steps = max(1, round(share * usual.steps))
    settings = make_settings(algo, settings_for(usual, steps))
    envs: Any = gym.make_vec(id, num_envs=usual.num_envs, feedback=feedback)
    trainer = make_trainer(algo, envs, seed=seed, settings=settings, **usual.policy)
    start = time.process_time()
    learn(trainer, steps)
    return trainer, envs.unwrapped.task, time.process_time() - start


def trained_agent(id: str, dataset: Dataset, training: Training, **arguments: Any) -> tuple[Trainer, Task]:
    """An agent that is trained on the default feedback, and its task.

    Args:
        id: The environment.
        dataset: Its items.
        training: The settings.
        arguments: Further ones of the environment.
    """
    from agents.learning import learn
    from agents.trainers import make_trainer

    given: dict[str, Any] = {"dataset": dataset, "feedback": "annotator", **arguments}
    envs: Any = gym.make_vec(id, num_envs=training.rows, **given)
    trainer = make_trainer(training.algo, envs, seed=training.seed, settings=training.settings)
    learn(trainer, training.steps)
    return trainer, envs.unwrapped.task


def trained(id: str, dataset: Dataset, training: Training, **arguments: Any) -> NDArray[np.float64]:
    """The utility of ``trained_agent`` on each test item, in order, (test items,) float64."""
    trainer, task = trained_agent(id, dataset, training, **arguments)
    return utilities(task, trainer.policy())


def unlearned(id: str, dataset: Dataset, **arguments: Any) -> Mapping[str, NDArray[np.float64]]:
    """The utility on each test item of the blind, the random and the oracle policy, by name."""
    task = gym.make_vec(id, num_envs=1, dataset=dataset, **arguments).unwrapped.task  # type: ignore[attr-defined]
    baselines, items = Baselines(task), torch.tensor(dataset.range("test"))
    seen, reference = baselines.fields(items)
    hashes = fold(stream(0, "random policy"), torch.arange(len(items)))
    responses = (
        baselines.blind(seen, len(items)),
        baselines.random(hashes),
        baselines.oracle(reference),
    )
    return {
        name: baselines.utility(response, reference).double().numpy()
        for name, response in zip(BASELINES, responses, strict=True)
    }
