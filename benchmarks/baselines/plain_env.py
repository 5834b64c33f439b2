"""Captioning as a plain ``gymnasium.Env``: Python and NumPy, one episode at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.baselines.plain_caption import PlainScene, plain_scene, plain_utility
from feedback.annotators import AnnotatorFeedback
from mm_envs.data.scenes import Scenes
from mm_envs.tasks.caption import Caption
from mm_envs.tokenizers import Vocabulary

_CHUNK = 1024


@dataclass(frozen=True)
class PlainItems:
    """The items of a split as NumPy arrays and Python values, shared by all environments of a process.

    Attributes:
        task: The task of the engine: spaces, vocabulary and horizon are taken from it.
        annotator: The default annotator of the engine: its numbers are taken from it.
        first: The index of the first item.
        images: Pictures, uint8 of shape (items, channels, height, width).
        scenes: The scene of each.
    """

    task: Caption
    annotator: AnnotatorFeedback
    first: int
    images: NDArray[np.uint8]
    scenes: list[PlainScene]

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of captions."""
        vocabulary = self.task.answer.vocabulary
        assert isinstance(vocabulary, Vocabulary)
        return vocabulary


@lru_cache(maxsize=4)
def plain_items(split: str = "train", **task_arguments: Any) -> PlainItems:
    """All items of a split, made once in a process.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        task_arguments: Arguments of the captioning task and of its scenes (hashable ones).
    """
    task = Caption("scenes", **task_arguments)
    dataset = task.dataset
    assert isinstance(dataset, Scenes)
    images, scenes = [], []
    numbers = dataset.range(split)
    for indices in torch.split(torch.arange(numbers.start, numbers.stop), _CHUNK):
        graph = dataset.graph(indices)
        images.append(dataset.batch(indices, ["image"])["image"].numpy())
        scenes += [plain_scene(graph, row, dataset.config) for row in range(len(indices))]
    return PlainItems(task, AnnotatorFeedback(task), numbers.start, np.concatenate(images), scenes)


class PlainCaptionEnv(gym.Env[dict[str, NDArray[Any]], np.int64]):
    """The task of MMCaption-v0 as written without this package.

    The same pictures, spaces, words, utility with its parts and formula of the simulated annotator as
    ``MultimodalVectorEnv(n, "caption")``; only the random draws come from ``self.np_random``. Pictures are
    rendered beforehand, and a caption is graded once, at its end.

    Args:
        items: The items to draw from; by default those of the train split of MMCaption-v0.
        annotator: The source of the reward; by default the annotator of the items.

    Example:
        >>> env = PlainCaptionEnv(plain_items("test", items=64))
        >>> observation, info = env.reset(seed=1)
        >>> observation["image"].shape
        (3, 64, 64)
        >>> observation, reward, terminated, truncated, info = env.step(1)
        >>> terminated, info["utility"]
        (True, 0.0)
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    def __init__(self, items: PlainItems | None = None, annotator: AnnotatorFeedback | None = None) -> None:
        items = items or plain_items()
        task, annotator = items.task, annotator or items.annotator
        self._items, self._vocabulary, self._horizon = items, items.vocabulary, task.horizon
        self._annotator = annotator
        self.observation_space, self.action_space = task.observation_space, task.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Seeds the draws.
            options: ``"items"``: the index of the item to show.
        """
        super().reset(seed=seed)
        if options and "items" in options:
            item = options["items"] - self._items.first
        else:
            item = self.np_random.integers(len(self._items.scenes))
        self._item = int(item)
        self._image, self._scene = self._items.images[item], self._items.scenes[item]
        self._words: list[int] = []
        self._tokens = np.zeros(self._horizon, dtype=np.int64)
        return self._observation(), {}

    def step(
        self, action: np.int64 | int
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Writes one word."""
        word = int(action)
        # What was handed out before stays as it was.
        self._tokens = self._tokens.copy()
        self._tokens[len(self._words)] = word
        self._words.append(word)
        if word != self._vocabulary.eos and len(self._words) < self._horizon:
            return self._observation(), 0.0, False, False, {}
        reward, info = self._feedback()
        return self._observation(), reward, True, False, info

    def _observation(self) -> dict[str, NDArray[Any]]:
        return {
            "image": self._image.copy(),
            "tokens": self._tokens,
            "tokens_length": np.array([len(self._words)], dtype=np.int64),
        }

    def _feedback(self) -> tuple[float, dict[str, Any]]:
        utility, parts = plain_utility(self._words, self._scene, self._vocabulary)
        reward, reward_parts = self._score(utility)
        info = {
            "utility": utility,
            "utility_parts": parts,
            "reward_parts": reward_parts,
            "response": self._tokens.copy(),
            "episode": {"r": reward, "l": len(self._words)},
        }
        return reward, info

    def _score(self, utility: float) -> tuple[float, dict[str, float]]:
        return plain_rating(self._annotator, utility, self.np_random)


def plain_rating(
    annotator: AnnotatorFeedback, utility: float, generator: np.random.Generator
) -> tuple[float, dict[str, float]]:
    """The rating of an answer by the formula of the simulated annotator, and its parts."""
    perceived = 1 - utility if generator.random() < annotator.mistakes else utility
    noise = (generator.gumbel() - np.euler_gamma) * annotator.noise
    return (perceived + noise) * annotator.gain + annotator.offset, {"perceived": perceived, "noise": noise}
