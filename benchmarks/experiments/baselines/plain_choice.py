"""Visual question answering and classification as a plain ``gymnasium.Env``: one choice, Python and NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.baselines.plain_env import plain_rating
from feedback.annotators import AnnotatorFeedback
from mm_envs.tasks import Task, make_task


@dataclass(frozen=True)
class PlainChoices:
    """The items of a split as NumPy arrays, shared by all environments of a process.

    Attributes:
        task: The task of the engine: spaces are taken from it.
        annotator: The default annotator of the engine: its numbers are taken from it.
        context: The constant entries of the observations of all items, by observation key.
        answers: The right answer to each item.
    """

    task: Task
    annotator: AnnotatorFeedback
    context: dict[str, NDArray[Any]]
    answers: list[int]


@lru_cache(maxsize=4)
def plain_choices(task: str, split: str = "train", **task_arguments: Any) -> PlainChoices:
    """All items of a split of a task whose answer is a choice, made once in a process."""
    made = make_task(task, **task_arguments)
    numbers = made.dataset.range(split)
    names = {*made.context.values(), *made.reference}
    fields = made.batch(torch.arange(numbers.start, numbers.stop), names)
    context = {key: fields[name].numpy() for key, name in made.context.items()}
    answers = made.oracle({name: fields[name] for name in made.reference}).tolist()
    return PlainChoices(made, AnnotatorFeedback(made), context, answers)


class PlainChoiceEnv(gym.Env[dict[str, NDArray[Any]], np.int64]):
    """A task of one choice as written without this package; see ``benchmarks.baselines``.

    Example:
        >>> env = PlainChoiceEnv(plain_choices("classify", dataset="digits"))
        >>> observation, info = env.reset(seed=1)
        >>> observation, reward, terminated, truncated, info = env.step(1)
        >>> terminated, info["utility"] in (0.0, 1.0)
        (True, True)
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    def __init__(self, items: PlainChoices) -> None:
        self._items = items
        self.observation_space, self.action_space = items.task.observation_space, items.task.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Starts an episode with a random item."""
        super().reset(seed=seed)
        self._item = int(self.np_random.integers(len(self._items.answers)))
        return self._observation(), {}

    def step(
        self, action: np.int64 | int
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Chooses an answer: the end."""
        choice = int(action)
        utility = 1.0 if choice == self._items.answers[self._item] else 0.0
        reward, parts = plain_rating(self._items.annotator, utility, self.np_random)
        info = {
            "utility": utility,
            "utility_parts": {"correct": utility},
            "reward_parts": parts,
            "response": choice,
            "episode": {"r": reward, "l": 1},
        }
        return self._observation(), reward, True, False, info

    def _observation(self) -> dict[str, NDArray[Any]]:
        return {key: values[self._item].copy() for key, values in self._items.context.items()}
