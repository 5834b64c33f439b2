"""A multimodal vector environment as a ``VecEnv`` of Stable-Baselines3, observations left on their device."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecCheckNan, VecFrameStack, VecNormalize, VecTransposeImage
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvWrapper
from torch import Tensor

from mm_envs.engine.wrappers import wrappers_around

Indices = int | Sequence[int] | None


class LastObservation(Mapping[str, Tensor]):
    """The last observation of one row, cut out of the batch only when an entry is asked for.

    The batch is ``final_obs`` of one step, which the engine never writes to again. So a view is right here,
    where a view of the observation that ``step`` returned would show the next episode.
    """

    __slots__ = ("_batch", "_row")

    def __init__(self, batch: Mapping[str, Tensor], row: int) -> None:
        self._batch, self._row = batch, row

    def __getitem__(self, key: str) -> Tensor:
        return self._batch[key][self._row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch)

    def __len__(self) -> int:
        return len(self._batch)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Tensor]:
        # VecNormalize copies the last observation of every row: the whole batch each time would be slow.
        return {key: value.clone() for key, value in self.items()}


class DeviceVecEnv(VecEnv):
    """Adapts a ``MultimodalVectorEnv`` to Stable-Baselines3.

    ``reset`` and ``step`` return observations as dicts of tensors on the device of the engine; rewards and
    dones are NumPy arrays, as the algorithms want them. All numbers of a step cross to the host in one
    transfer. Rows with nothing to report share one empty dict. A row that ended has

    - ``terminal_observation``: its last observation (a dict where it was truncated, since that is when the
      on-policy algorithms read it, else a mapping that cuts it out when asked),
    - ``TimeLimit.truncated``: whether it was cut off rather than ended,
    - ``episode``: return ``r``, length ``l`` and seconds ``t`` since the start, as ``Monitor`` gives them,
    - ``utility``, ``utility_parts`` and ``reward_parts``: the true utility and parts of both, as floats.

    One seed seeds all rows, since a row draws from the hash of seed and row; options are the same for all.

    Args:
        envs: A vector environment with SAME_STEP autoreset that returns fresh tensors.
        numpy: Return observations as NumPy arrays, copied: what off-policy algorithms, stock buffers and the
            wrappers ``VecNormalize``, ``VecFrameStack``, ``VecCheckNan`` and ``VecTransposeImage`` need. They
            are found through Stable-Baselines3's wrappers and those with an attribute ``keeps_observations``.

    Raises:
        ValueError: The autoreset mode, the output or the buffers of the environment do not fit; in the first
            ``reset``, a wrapper needs ``numpy=True``.
    """

    def __init__(self, envs: gym.vector.VectorEnv[Any, Any, Any], numpy: bool = False) -> None:
        mode = envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f"autoreset_mode={mode} does not fit Stable-Baselines3: use AutoresetMode.SAME_STEP"
            )
        if getattr(envs.unwrapped, "output", "torch") != "torch":
            raise ValueError(
                "output='numpy' does not fit: use output='torch' and DeviceVecEnv(envs, numpy=True)"
            )
        if not getattr(envs.unwrapped, "copy", True):
            raise ValueError("copy=False overwrites observations before they are stored: use copy=True")
        self.envs, self.numpy = envs, numpy
        self.device: torch.device = getattr(envs.unwrapped, "device", torch.device("cpu"))
        self._nothing: dict[str, Any] = {}
        self._wrappers_fit = numpy
        self._started = time.monotonic()
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Any:
        """Starts new episodes in all rows; returns observations only."""
        if not self._wrappers_fit:
            _refuse_numpy_wrappers(wrappers_around(self, VecEnvWrapper, "venv"))
            self._wrappers_fit = True
        first = self._options[0]
        if any(options is not first and bool(options or first) for options in self._options):
            raise ValueError("the options of the rows differ: call set_options with one dict for all rows")
        observation, _ = self.envs.reset(seed=self._seeds[0], options=first or None)
        self.reset_infos = [self._nothing] * self.num_envs
        self._reset_seeds()
        self._reset_options()
        return self._given(observation)

    def step_async(self, actions: Any) -> None:
        """Takes the actions of the step, one a row."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Observations, rewards (n,) float32, dones (n,) bool and infos of the step."""
        observation, reward, terminated, truncated, info = self.envs.step(self._actions)
        columns = {"reward": reward, "terminated": terminated, "truncated": truncated, **_numbers(info)}
        table = torch.stack([column.to(torch.float32) for column in columns.values()]).cpu().numpy()
        host = dict(zip(columns, table, strict=True))
        dones = (host["terminated"] + host["truncated"]) > 0
        infos = [self._nothing] * self.num_envs
        if dones.any():
            # As tensors it is gathered when an entry is read.
            last = self._given(info["final_obs"]) if self.numpy else info["final_obs"]
            self._report(infos, dones, host, last)
        return self._given(observation), host["reward"].copy(), dones, infos

    def _report(
        self,
        infos: list[dict[str, Any]],
        dones: NDArray[np.bool_],
        host: dict[str, NDArray[np.float32]],
        last: Mapping[str, Any],
    ) -> None:
        """Writes what there is to say about the rows that ended."""
        rows = dones.nonzero()[0].tolist()
        ended = {name: column[dones].tolist() for name, column in host.items()}
        cut = ((host["truncated"] > 0) & (host["terminated"] == 0))[dones].tolist()
        reward_parts, utility_parts = (_parts(ended, f"{kind}_parts/") for kind in ("reward", "utility"))
        seconds = round(time.monotonic() - self._started, 6)
        for i, row in enumerate(rows):
            seen = LastObservation(last, row)
            infos[row] = {
                "terminal_observation": dict(seen) if self.numpy or cut[i] else seen,
                "TimeLimit.truncated": cut[i],
                "episode": {"r": ended["r"][i], "l": int(ended["l"][i]), "t": seconds},
                "utility": ended["utility"][i],
                "reward_parts": reward_parts[i] if reward_parts else {},
                "utility_parts": utility_parts[i] if utility_parts else {},
            }

    def _given(self, observation: Mapping[str, Tensor]) -> dict[str, Any]:
        if self.numpy:
            # Writing to an array that shares memory with a tensor of the engine would go unseen there.
            return {key: value.cpu().numpy().copy() for key, value in observation.items()}
        return dict(observation)

    def state_dict(self) -> dict[str, Tensor]:
        """A snapshot of the environment, see ``MultimodalVectorEnv.state_dict``."""
        state: dict[str, Tensor] = self.envs.state_dict()  # type: ignore[attr-defined]
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> Any:
        """Goes on from a snapshot; returns the observations of all rows."""
        observation = self.envs.load_state_dict(state)  # type: ignore[attr-defined]
        self._reset_seeds()
        self._reset_options()
        return self._given(observation)

    def close(self) -> None:
        """Closes the environment."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:  # type: ignore[override]
        """An attribute of the environment, the same for every row asked for."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:  # type: ignore[override]
        """Sets an attribute of the environment, which all rows share; some rows alone are refused."""
        if len(set(self._get_indices(indices))) != self.num_envs:
            raise ValueError(f"indices={indices} names some rows only: all rows are one environment")
        setattr(self.envs, attr_name, value)

    def env_method(  # type: ignore[override]
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls a method of the environment once; its result is given for every row asked for.

        Of ``action_masks``, which MaskablePPO calls, every row is given its own.
        """
        result = getattr(self.envs, method_name)(*method_args, **method_kwargs)
        if method_name == "action_masks":
            masks = result.cpu().numpy()
            return [masks[row] for row in self._get_indices(indices)]
        return [result] * len(list(self._get_indices(indices)))

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Indices = None) -> list[bool]:  # type: ignore[override]
        """True for ``Monitor``, since infos carry ``episode`` as it would write it."""
        return [issubclass(wrapper_class, Monitor)] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[NDArray[Any] | None]:
        """A picture of every row, where ``render_mode="rgb_array"``."""
        pictures: Any = self.envs.render()
        return list(pictures or [None] * self.num_envs)


def _refuse_numpy_wrappers(wrappers: Sequence[VecEnvWrapper]) -> None:
    """Refuses wrappers, innermost first, that compute with the observations as NumPy arrays."""
    for wrapper in wrappers:
        # A wrapper from elsewhere may convert observations, so none outside of it is checked.
        own = type(wrapper).__module__.startswith("stable_baselines3.")
        if not own and not getattr(wrapper, "keeps_observations", False):
            return
        if (
            isinstance(wrapper, (VecCheckNan, VecFrameStack))
            or (isinstance(wrapper, VecNormalize) and wrapper.norm_obs)
            or (isinstance(wrapper, VecTransposeImage) and not wrapper.skip)
        ):
            raise ValueError(
                f"{type(wrapper).__name__} computes with NumPy arrays and these observations are tensors: "
                "wrap DeviceVecEnv(envs, numpy=True)"
            )


def _numbers(info: Mapping[str, Any]) -> dict[str, Tensor]:
    """The columns of ``final_info`` that are one number a row."""
    if "final_info" not in info:
        return {}
    final = info["final_info"]
    columns = {"r": final["episode"]["r"], "l": final["episode"]["l"], "utility": final["utility"]}
    for kind in ("reward_parts", "utility_parts"):
        columns |= {f"{kind}/{name}": column for name, column in final[kind].items()}
    return columns


def _parts(columns: Mapping[str, list[float]], prefix: str) -> list[dict[str, float]]:
    """One dict of named parts per row, from one list per part."""
    named = {name[len(prefix) :]: column for name, column in columns.items() if name.startswith(prefix)}
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]
