"""The engine with one row: a ``gymnasium.Env`` with NumPy observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from mm_envs.engine.ahead import PreparedRow
from mm_envs.engine.output import numpy_observation, to_numpy
from mm_envs.engine.vector import MultimodalVectorEnv


class MultimodalEnv(gym.Env[dict[str, Any], Any]):
    """A multimodal task as a Gymnasium environment: row ``row`` of the vector environment by itself.

    When an episode has ended, ``info`` holds ``utility``, ``utility_parts``, ``reward_parts``, ``judged``,
    ``response`` and ``response_length`` (for answers in words) as well as ``item``, ``episode_index`` and
    ``row``.

    Args:
        row: The number of the row; rows 0 to n - 1 with one seed are those of a vector environment.
        render_mode: ``"rgb_array"`` or ``"ansi"``.
        arguments: Those of MultimodalVectorEnv, except ``num_envs``, ``output``, ``autoreset_mode`` and
            ``copy``.

    Example:
        >>> env = MultimodalEnv(task="classify", dataset="digits", feedback="truth")
        >>> observation, info = env.reset(seed=3)
        >>> observation, reward, terminated, truncated, info = env.step(5)
        >>> terminated, reward == info["utility"]
        (True, True)
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's own attribute
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
    }

    def __init__(self, row: int = 0, render_mode: str | None = None, **arguments: Any) -> None:
        for name in ("num_envs", "output", "autoreset_mode", "copy", "group_size", "first_row"):
            if name in arguments:
                raise ValueError(f"{name} is an argument of gym.make_vec, not of gym.make: leave it out")
        engine = self._engine = MultimodalVectorEnv(
            1, autoreset_mode="Disabled", first_row=row, render_mode=render_mode, **arguments
        )
        self._prepared = PreparedRow.of(engine)
        self.render_mode = render_mode
        self.observation_space = engine.single_observation_space
        self.action_space = engine.single_action_space
        self.context_keys, self.state_keys, self.task = engine.context_keys, engine.state_keys, engine.task

    @property
    def engine(self) -> MultimodalVectorEnv:
        """The vector environment of one row, at the step where this one is; from now on it does every step.

        Preparing episodes ahead ends, so that a kept engine sees every step.
        """
        engine, self._prepared = self.synchronized(), None
        return engine

    def synchronized(self) -> MultimodalVectorEnv:
        """The vector environment of one row, at the step of this one: to be read at once, not to be kept."""
        if self._prepared is not None and self._prepared.current:
            self._prepared.save()
        return self._engine

    def __getstate__(self) -> dict[str, Any]:
        self.synchronized()
        return {**vars(self), "_prepared": self._prepared is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepared = PreparedRow.of(self._engine) if state["_prepared"] else None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts an episode; a seed seeds all streams and starts counting episodes at 0.

        Of ``options``, ``"items"`` is the index of the item, a number or a list of one, and
        ``"episode_index"``, with a seed, the number of the first episode.
        """
        prepared = self._prepared
        if seed is None and not options and prepared is not None and self._engine.started:
            if not prepared.current:
                prepared.load()
            return prepared.reset()
        super().reset(seed=seed)
        for name in ("items", "episode_index"):
            if options and options.get(name) is not None:
                options = {**options, name: np.atleast_1d(options[name])}
        if seed is None and not self._engine.started:
            seed = int(self.np_random.integers(2**63 - 1))
        observation, info = self.synchronized().reset(seed=seed, options=options)
        return self._single(observation), _plain(info)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Takes one action.

        Raises:
            gymnasium.error.ResetNeeded: There is no running episode.
        """
        prepared = self._prepared
        ahead = prepared is not None and prepared.current
        if prepared.finished if ahead else bool(self._engine._finished[0]):  # type: ignore[union-attr]
            raise gym.error.ResetNeeded(
                "Cannot call env.step() after the end of an episode: call env.reset()"
            )
        if prepared is not None and self._engine.started and prepared.takes(action):
            if not ahead:
                prepared.load()
            return prepared.step(int(action))
        observation, reward, terminated, truncated, info = self.synchronized().step(np.asarray(action)[None])
        plain = {key: info[key] for key in ("item", "episode_index")}
        if bool(info.get("_final_info", torch.zeros(1))[0]):
            plain = {**info["final_info"], **plain}
            # Gymnasium's statistics wrappers write this entry themselves and refuse to find one.
            del plain["episode"]
        flags = bool(terminated[0]), bool(truncated[0])
        return self._single(observation), float(reward[0]), *flags, _plain(plain)

    def action_masks(self) -> NDArray[np.int8]:
        """Which actions are valid, (actions,) zeros and ones; ``action_space.sample(mask)`` takes them.

        Wrappers of Gymnasium hide the method: ``env.get_wrapper_attr("action_masks")()`` finds it, as
        MaskablePPO of sb3-contrib does.

        Raises:
            ValueError: Actions are numbers.
            gymnasium.error.ResetNeeded: There was no reset.
        """
        prepared = self._prepared
        masks = prepared.masks() if prepared and prepared.current else self._engine.action_masks()
        return masks[0].numpy().astype(np.int8)

    def render(self) -> Any:
        """A picture (height, width, 3) uint8, or a text; None without ``render_mode``."""
        frames = self.synchronized().render()
        return None if frames is None else frames[0]

    def _single(self, observation: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        return {key: value[0].copy() for key, value in numpy_observation(observation).items()}


def _plain(info: Mapping[str, Any]) -> dict[str, Any]:
    """The info of the only row: numbers as Python's own, the rest as arrays."""
    result: dict[str, Any] = {}
    for key, value in info.items():
        if isinstance(value, Mapping):
            result[key] = _plain(value)
        else:
            array = to_numpy(value)[0]
            result[key] = array.copy() if array.ndim else array.item()
    return result
