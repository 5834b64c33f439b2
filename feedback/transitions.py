"""Steps of any environment as tensors, and the adapters that make episodes of them for a feedback source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from torch import Tensor

from mm_envs.episodes import Episodes
from mm_envs.spaces import MINIMUM_SIDE, Image, Vector

OBSERVATION, NEXT = "observation", "next_"
Entries: TypeAlias = "Mapping[str, Tensor]"


@dataclass(frozen=True)
class Transitions:
    """n steps of an environment; every tensor has leading dimension n and is a copy.

    Attributes:
        observation: What the agent saw when it acted, by observation key (``observation`` where the
            environment does not give a Dict), pictures channels first.
        action: The action as the environment takes it: (n,) int64 for Discrete, else (n, ...).
        after: Makes ``next_observation``, which costs copies, when it is needed.
    """

    observation: Entries
    action: Tensor
    after: Callable[[], Entries]

    def __len__(self) -> int:
        return len(self.action)

    @cached_property
    def next_observation(self) -> Entries:
        """What the step led to, by observation key; of an episode that ended its last observation."""
        return self.after()


Adapter: TypeAlias = "Callable[[Transitions], Episodes]"


def observation_and_action(steps: Transitions) -> Episodes:
    """Each step as an episode of its own: the observation is the context, the action is the response.

    Example:
        >>> seen = {"observation": torch.zeros(2, 4)}
        >>> episodes = observation_and_action(Transitions(seen, torch.tensor([0, 1]), dict))
        >>> list(episodes.context), episodes.response.tolist()
        (['observation'], [0, 1])
    """
    return Episodes(dict(steps.observation), steps.action)


def observation_action_and_next(steps: Transitions) -> Episodes:
    """The same with the next observation in the context, every key of it behind ``next_``."""
    after = {NEXT + key: value for key, value in steps.next_observation.items()}
    return Episodes({**steps.observation, **after}, steps.action)


def context_spaces(space: gym.Space[Any], following: bool = False) -> dict[str, gym.Space[Any]]:
    """The spaces of the contexts that the adapters make of an observation space, for a reward model.

    Pictures become ``Image``; numbers with different bounds, which are often the largest float, become an
    unbounded ``Vector``. ``following`` adds the next observation.

    Example:
        >>> picture = gym.spaces.Box(0, 255, (48, 64, 3), np.uint8)
        >>> context_spaces(gym.spaces.Dict({"image": picture}))
        {'image': Image(height=48, width=64, channels=3)}
    """
    spaces = {key: _space_read(one) for key, one in _named(space).items()}
    return {**spaces, **({NEXT + key: one for key, one in spaces.items()} if following else {})}


def entries(observation: Any, space: gym.Space[Any], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Observations of n rows, an array or a dict or tuple of arrays, as fresh tensors by key."""
    spaces, given = _named(space), _parts(observation)
    return {
        # (n, 1) instead of (n,) is how buffers keep numbers.
        key: _fresh(given[key], device).reshape(len(given[key]), *(one.shape or ()))
        for key, one in spaces.items()
    }


def put_row(batch: Mapping[str, Tensor], row: int, observation: Any) -> None:
    """Writes the observation of one row into a batch of entries."""
    for key, value in _parts(observation).items():
        batch[key][row] = torch.as_tensor(value)


def channels_first(batch: Mapping[str, Tensor], space: gym.Space[Any]) -> dict[str, Tensor]:
    """Entries with every picture channels first."""
    spaces = _named(space)
    return {
        key: value.movedim(-1, 1).contiguous() if _channels_last(spaces[key]) else value
        for key, value in batch.items()
    }


def actions_of(actions: Any, space: gym.Space[Any], device: torch.device | str = "cpu") -> Tensor:
    """Actions of n rows as a fresh tensor: (n,) int64 for Discrete, else (n, ...)."""
    given = actions if isinstance(actions, Tensor) else np.asarray(actions)
    return _fresh(given, device).reshape(len(given), *(space.shape or ()))


def _fresh(value: Any, device: torch.device | str) -> Tensor:
    """A copy as a tensor: the caller may write over the value."""
    return torch.as_tensor(value).to(device, copy=True)


def _named(space: gym.Space[Any]) -> dict[str, gym.Space[Any]]:
    if isinstance(space, gym.spaces.Dict):
        return dict(space.spaces)
    if isinstance(space, gym.spaces.Tuple):
        return {str(i): one for i, one in enumerate(space.spaces)}
    return {OBSERVATION: space}


def _parts(observation: Any) -> dict[str, Any]:
    if isinstance(observation, Mapping):
        return dict(observation)
    if isinstance(observation, tuple):
        return {str(i): one for i, one in enumerate(observation)}
    return {OBSERVATION: observation}


def _channels_last(space: gym.Space[Any]) -> bool:
    return (
        isinstance(space, gym.spaces.Box)
        and is_image_space(space)
        and not is_image_space_channels_first(space)
    )


def _space_read(space: gym.Space[Any]) -> gym.Space[Any]:
    """The space of an entry as an encoder should read it."""
    if not isinstance(space, gym.spaces.Box):
        return space
    if is_image_space(space):
        shape = (space.shape[-1], *space.shape[:2]) if _channels_last(space) else space.shape
        if shape[0] in (1, 3) and min(shape[1:]) >= MINIMUM_SIDE:
            return Image(shape[1], shape[2], shape[0])
        return gym.spaces.Box(0, 255, shape, np.uint8)
    several = len(np.unique(space.low)) > 1 or len(np.unique(space.high)) > 1
    return Vector(space.shape[0]) if several and len(space.shape) == 1 else space
