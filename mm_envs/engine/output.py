"""Observations and infos as NumPy arrays, in Gymnasium's own form, and observations as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.spaces import Tokens


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """The tensor as an array on the host."""
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def numpy_observation(observation: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """A dict of arrays, one a key."""
    return {key: to_numpy(value) for key, value in observation.items()}


def numpy_info(info: Mapping[str, Any], num_envs: int) -> dict[str, Any]:
    """The info with a mask for every key, ``final_obs`` as an object array of single observations."""
    result: dict[str, Any] = {}
    for key, value in info.items():
        if key.startswith("_"):
            result[key] = to_numpy(value)
        elif key == "final_obs":
            result[key] = _single_observations(value, to_numpy(info["_final_obs"]))
        else:
            mask = to_numpy(info[f"_{key}"]) if f"_{key}" in info else np.ones(num_envs, dtype=np.bool_)
            result[key], result[f"_{key}"] = _masked(value, mask), mask
    return result


def _masked(value: Any, mask: NDArray[np.bool_]) -> Any:
    if not isinstance(value, Mapping):
        array = to_numpy(value)
        # Numbers about an episode are double, as Gymnasium makes them of Python's own.
        return array.astype(np.float64) if array.dtype == np.float32 and array.ndim == 1 else array
    result: dict[str, Any] = {}
    for key, part in value.items():
        result[key], result[f"_{key}"] = _masked(part, mask), mask.copy()
    return result


def _single_observations(batch: Mapping[str, Tensor], mask: NDArray[np.bool_]) -> NDArray[np.object_]:
    arrays = {key: to_numpy(value) for key, value in batch.items()}
    single = np.full(len(mask), None, dtype=object)
    for row in mask.nonzero()[0]:
        single[row] = {key: array[row].copy() for key, array in arrays.items()}
    return single


def decode(env: gym.Env[Any, Any] | gym.vector.VectorEnv, observation: Mapping[str, Any]) -> dict[str, Any]:
    """The text of every Tokens entry of an observation, or of a batch: then a list of strings an entry.

    A function, since wrappers of the environment would hide a method.
    """
    space = getattr(env, "single_observation_space", None) or env.observation_space
    assert isinstance(space, gym.spaces.Dict)
    words: dict[str, Any] = {}
    for key, entry in space.spaces.items():
        if isinstance(entry, Tokens):
            ids = torch.as_tensor(observation[key])
            single = ids.ndim == 1
            texts = [entry.vocabulary.decode(row) for row in ids.reshape(-1, ids.shape[-1])]
            words[key] = texts[0] if single else texts
    return words
