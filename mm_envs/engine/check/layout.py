"""Rules about form: spaces, types, shapes, dtypes, devices, masks.

A rule returns what it saw, or raises Fault or Skip; the first line of its docstring is the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from torch import Tensor

from mm_envs.engine.check import trees
from mm_envs.engine.check.report import Fault, Skip
from mm_envs.engine.check.run import Call, Run


def attributes(run: Run) -> str:
    """The attribute num_envs is a whole number and metadata["autoreset_mode"] an AutoresetMode."""
    n = getattr(run.envs, "num_envs", None)
    if not isinstance(n, int) or n < 1:
        raise Fault(f"num_envs is {n!r}: set it to the number of rows, an int of at least 1")
    mode = run.envs.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise Fault(
            f'metadata["autoreset_mode"] is {mode!r}, which wrappers refuse: '
            "set it to gymnasium.vector.AutoresetMode.SAME_STEP, NEXT_STEP or DISABLED"
        )
    return f"{n} rows, {mode.name}"


def spaces(run: Run) -> str:
    """The batched spaces are the single spaces, num_envs times."""
    for kind in ("observation", "action"):
        single = getattr(run.envs, f"single_{kind}_space")
        batched = getattr(run.envs, f"{kind}_space")
        wanted = batch_space(single, run.n)
        if (wrong := next(_unlike(wanted, batched, ""), None)) is not None:
            raise Fault(
                f"{kind}_space{wrong}: build it with batch_space(single_{kind}_space, {run.n}) "
                "from gymnasium.vector.utils"
            )
    return f"batched {run.n} times"


def _unlike(wanted: gym.Space[Any], got: gym.Space[Any], path: str) -> Iterator[str]:
    parts = _parts(wanted)
    if parts is None:
        if (wanted.shape, wanted.dtype) != (got.shape, got.dtype):
            yield f"{path} has shape {got.shape} {got.dtype} instead of {wanted.shape} {wanted.dtype}"
        return
    others = _parts(got)
    if others is None or list(parts) != list(others):
        yield f"{path} is {got} instead of {wanted}"
        return
    for key, part in parts.items():
        yield from _unlike(part, others[key], f"{path}[{key!r}]")


def _parts(space: gym.Space[Any]) -> dict[Any, gym.Space[Any]] | None:
    if isinstance(space, gym.spaces.Dict):
        return dict(sorted(space.spaces.items()))
    if isinstance(space, gym.spaces.Tuple):
        return dict(enumerate(space.spaces))
    return None


def return_types(run: Run) -> str:
    """Results are (observation, info), or (observation, reward, terminated, truncated, info) of a step."""
    actions = run.actions()
    started = run.envs.reset(seed=run.seed)
    stepped = run.envs.step(actions(0, np.zeros(run.n, dtype=np.bool_)))
    for name, result, length in (("reset", started, 2), ("step", stepped, 5)):
        if not isinstance(result, tuple) or len(result) != length:
            raise Fault(f"{name} returned {_say(result)}: return a tuple of {length} values")
        if not isinstance(result[-1], dict):
            raise Fault(f"{name} returned {_say(result[-1])} as info: return a dict of batched arrays")
    kinds = {isinstance(leaf, Tensor) for _, leaf in trees.arrays([started[0], *stepped[:-1]])}
    if len(kinds) > 1:
        raise Fault("NumPy arrays and tensors are mixed in one result: return one kind everywhere")
    return "tuples of 2 and 5, " + ("NumPy" if run.device is None else f"torch on {run.device}")


def _say(value: Any) -> str:
    size = f" of length {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"a {type(value).__name__}{size}"


def observation_layout(run: Run) -> str:
    """Every entry of an observation has the shape and the dtype that the batched space says."""
    for index, call in enumerate(run.raw):
        for wrong in _misfits(run.envs.observation_space, call.obs, "obs"):
            raise Fault(f"{wrong} (call {index}, {call.kind}): convert it before returning it")
    return f"{len(run.raw)} observations"


def _misfits(space: gym.Space[Any], value: Any, path: str) -> Iterator[str]:
    parts = _parts(space)
    if parts is None:
        if isinstance(space, (gym.spaces.Box, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)):
            yield from _misfit(space, value, path)
    elif isinstance(space, gym.spaces.Dict):
        keys = sorted(value) if isinstance(value, Mapping) else None
        if keys != sorted(parts):
            yield f"{path} has keys {keys}, and the space has {sorted(parts)}"
            return
        for key, part in parts.items():
            yield from _misfits(part, value[key], f"{path}[{key!r}]")
    elif not isinstance(value, tuple) or len(value) != len(parts):
        yield f"{path} is {_say(value)}, and the space a Tuple of {len(parts)}"
    else:
        for key, part in parts.items():
            yield from _misfits(part, value[key], f"{path}[{key}]")


def _misfit(space: gym.Space[Any], value: Any, path: str) -> Iterator[str]:
    if not trees.is_array(value):
        yield f"{path} is {_say(value)} instead of an array or a tensor"
    elif tuple(value.shape) != space.shape or trees.dtype_name(value) != str(space.dtype):
        got = f"{tuple(value.shape)} {trees.dtype_name(value)}"
        yield f"{path} has shape {got}, and the space says {space.shape} {space.dtype}"


def reward_and_flags(run: Run) -> str:
    """The reward is floating and the end flags are bool, each of shape (num_envs,)."""
    kinds = {"reward": ("float32", "float64"), "terminated": ("bool",), "truncated": ("bool",)}
    steps = [call for call in run.raw if call.kind == "step"]
    for call in steps:
        for name, dtypes in kinds.items():
            value = getattr(call, name)
            if not trees.is_array(value) or tuple(value.shape) != (run.n,):
                shape = tuple(value.shape) if trees.is_array(value) else _say(value)
                raise Fault(f"{name} has shape {shape} instead of ({run.n},): one number a row")
            if trees.dtype_name(value) not in dtypes:
                raise Fault(f"{name} is {trees.dtype_name(value)}: convert it to {' or '.join(dtypes)}")
    return f"{len(steps)} steps"


def device(run: Run) -> str:
    """All tensors that are returned are on one device, that of the environment."""
    if run.device is None:
        raise Skip("the environment returns NumPy")
    for call in run.raw:
        for path, leaf in trees.arrays(call.returned):
            if isinstance(leaf, Tensor) and not _same_device(leaf, run):
                raise Fault(f"{path} is on {leaf.device}, the environment on {run.device}: move it there")
    return str(run.device)


def _same_device(leaf: Tensor, run: Run) -> bool:
    wanted = run.device
    assert wanted is not None
    return leaf.device.type == wanted.type and wanted.index in (None, leaf.device.index)


def in_space(run: Run) -> str:
    """Every row of every observation is an element of single_observation_space."""
    return f"{_members(run, [(call, run.rows(call.obs)) for call in run.recorded])} rows"


def final_in_space(run: Run) -> str:
    """Every final observation is an element of single_observation_space."""
    if run.mode is not AutoresetMode.SAME_STEP:
        raise Skip(f"with {run.mode.name} the final observation is the observation itself")
    found = []
    for call in run.need_ends():
        if "final_obs" in call.info:
            final = run.rows(call.info["final_obs"])
            found.append((call, [row for row, end in zip(final, call.mask, strict=True) if end]))
    if not found:
        raise Skip("there is no final_obs in info")
    return f"{_members(run, found)} final observations"


def _members(run: Run, found: list[tuple[Call, list[Any]]]) -> int:
    space = run.envs.single_observation_space
    for call, rows in found:
        for row in rows:
            if not space.contains(row):
                raise Fault(
                    f"{_not_in(space, row, 'a row')} (after a {call.kind}): "
                    "correct the value, or the bounds of the space"
                )
    return sum(len(rows) for _, rows in found)


def _not_in(space: gym.Space[Any], value: Any, path: str) -> str:
    parts = _parts(space)
    if parts is not None and isinstance(value, (Mapping, tuple)) and len(value) == len(parts):
        for key, part in parts.items():
            if not part.contains(inner := value[key]):
                return _not_in(part, inner, f"{path}[{key!r}]")
    if isinstance(value, (np.ndarray, np.generic)) and value.size and value.dtype.kind in "biuf":
        return (
            f"{path} ({value.dtype}{list(value.shape)} from {value.min()} to {value.max()}) is not in {space}"
        )
    return f"{path} = {value!r} is not in {space}"


def info_masks(run: Run) -> str:
    """Info entries have num_envs rows, and the mask "_key" of an entry is bool of shape (num_envs,)."""
    count = 0
    for call in run.raw:
        for wrong in _bad_entries(call.info, run.n, "info"):
            raise Fault(f"{wrong} (after a {call.kind}): give every entry one value a row")
        count += sum(1 for _ in trees.leaves(call.info))
    return f"{count} entries"


def _bad_entries(info: Mapping[str, Any], n: int, path: str) -> Iterator[str]:
    for key, value in info.items():
        where = f"{path}[{key!r}]"
        if key.startswith("_"):
            if not trees.is_array(value) or tuple(value.shape) != (n,) or trees.dtype_name(value) != "bool":
                found = (
                    f"{trees.dtype_name(value)}{list(value.shape)}" if trees.is_array(value) else _say(value)
                )
                yield f"the mask {where} is {found} instead of bool[{n}]"
        elif isinstance(value, Mapping):
            yield from _bad_entries(value, n, where)
        elif trees.is_array(value) and tuple(value.shape)[:1] != (n,):
            yield f"{where} has shape {tuple(value.shape)}, without a first dimension of {n}"
