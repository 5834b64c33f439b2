"""Drives a vector environment with known actions and records what it returns."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.engine.check import trees
from mm_envs.engine.check.report import Skip

Envs: TypeAlias = VectorEnv[Any, Any, Any]
Mask: TypeAlias = NDArray[np.bool_]


class Actions:
    """Random actions; those of a row depend on (seed, row, step) only, never on the other rows.

    Args:
        space: The space of one action.
        rows: The row whose actions each row of the environment gets.
        seed: Seed of the actions.
        device: The device of the actions, as tensors; None for NumPy.
        obey: Whether rows that ended with the step before get their action, or another one.
    """

    def __init__(
        self,
        space: gym.Space[Any],
        rows: Sequence[int],
        seed: int,
        device: torch.device | None,
        obey: bool = True,
    ) -> None:
        self.space, self.rows, self.device, self.obey = space, rows, device, obey
        self._samplers = {row: copy.deepcopy(space) for row in set(rows)}
        self._samples: dict[int, list[Any]] = {row: [] for row in self._samplers}
        for row, sampler in self._samplers.items():
            sampler.seed(seed * 7919 + row)

    def __call__(self, step: int, ended: Mask) -> Any:
        """The batch of actions for a step, given which rows ended with the step before."""
        return self.batch([self._pick(row, step, end) for row, end in zip(self.rows, ended, strict=True)])

    def _pick(self, row: int, step: int, ended: bool) -> Any:
        action = self.single(row, step)
        if self.obey or not ended:
            return action
        others = (self.single(row, later) for later in range(step + 1, step + 33))
        return next((other for other in others if not trees.same(other, action)), action)

    def single(self, row: int, step: int) -> Any:
        """The action of one row."""
        known = self._samples[row]
        while len(known) <= step:
            known.append(self._samplers[row].sample())
        return known[step]

    def batch(self, actions: Sequence[Any]) -> Any:
        """A batch of single actions, on the device."""
        empty: Any = create_empty_array(self.space, len(actions))
        batch = concatenate(self.space, actions, empty)
        if self.device is None:
            return batch
        return trees.map_leaves(lambda leaf: torch.as_tensor(leaf, device=self.device), batch)


@dataclass(frozen=True)
class Call:
    """The result of one call.

    ``mask`` are the rows that a masked reset was asked to reset; for a step, those that ended.
    """

    kind: Literal["reset", "step", "masked reset"]
    obs: Any
    info: Any
    mask: Mask
    reward: Any = None
    terminated: Any = None
    truncated: Any = None

    @property
    def returned(self) -> dict[str, Any]:
        """Everything that the call returned, by name."""
        names = ("obs", "reward", "terminated", "truncated", "info")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def core(self) -> dict[str, Any]:
        """The repeatable parts of a snapshot: of infos, which may hold times, only ``final_obs``."""
        core = {name: part for name, part in self.returned.items() if name != "info"}
        if self.kind == "step" and self.mask.any() and "final_obs" in self.info:
            final = self.info["final_obs"]
            whole = trees.is_object_array(final)
            core["final_obs"] = final[self.mask] if whole else trees.map_leaves(lambda a: a[self.mask], final)
        return core

    def snapshot(self) -> Call:
        """A deep copy, in NumPy."""
        return Call(kind=self.kind, mask=self.mask.copy(), **trees.snapshot({"info": {}} | self.returned))


Choose: TypeAlias = Callable[[int, Mask], Any]


def drive(envs: Envs, choose: Choose, steps: int, seed: int | None) -> Iterator[Call]:
    """Resets and steps, and resets finished rows with DISABLED; yields results, not copies."""
    running = np.zeros(envs.num_envs, dtype=np.bool_)
    obs, info = envs.reset(seed=seed)
    yield Call("reset", obs, info, ~running)
    ended = running
    for step in range(steps):
        obs, reward, terminated, truncated, info = envs.step(choose(step, ended))
        ended = trees.flags(terminated) | trees.flags(truncated)
        ended = ended if ended.shape == running.shape else running  # a wrong shape has a rule of its own
        yield Call("step", obs, info, ended, reward, terminated, truncated)
        if ended.any() and envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
            obs, info = envs.reset(options={"reset_mask": ended.copy()})
            yield Call("masked reset", obs, info, ended)


Recording: TypeAlias = list[Call]


def first_difference(one: Recording, other: Recording) -> str | None:
    """The path of the first difference of two recordings; None if they are equal bit for bit."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        path = trees.difference(left.core, right.core)
        if path is not None or left.kind != right.kind:
            return f"{path} of call {index} ({left.kind})"
    return None if len(one) == len(other) else "the number of resets"


@dataclass
class Run:
    """One conformance run: the environment, how to build copies, and recordings of ``steps`` steps."""

    envs: Envs
    make: Callable[..., Envs] | None
    seed: int
    steps: int
    _open: list[Envs] = field(default_factory=list)

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.envs.num_envs

    @property
    def mode(self) -> AutoresetMode:
        """The autoreset mode."""
        mode: AutoresetMode = self.envs.metadata["autoreset_mode"]
        return mode

    @cached_property
    def device(self) -> torch.device | None:
        """The device of the tensors that the environment returns; None if it returns NumPy."""
        tensors = [leaf for _, leaf in trees.arrays(self.envs.reset(seed=self.seed)[0])]
        found = next((leaf.device for leaf in tensors if isinstance(leaf, Tensor)), None)
        own = getattr(self.envs, "device", None)
        return torch.device(own) if found is not None and own is not None else found

    def actions(self, rows: Sequence[int] | None = None, *, obey: bool = True) -> Actions:
        """Actions for the given rows, by default all."""
        rows = range(self.n) if rows is None else rows
        return Actions(self.envs.single_action_space, rows, self.seed, self.device, obey)

    def record(
        self, envs: Envs | None = None, actions: Actions | None = None, seed: int | None = -1
    ) -> Recording:
        """Snapshots of everything that ``steps`` steps return; seed None resets without a seed."""
        seed = self.seed if seed == -1 else seed
        driven = drive(envs or self.envs, actions or self.actions(), self.steps, seed)
        return [call.snapshot() for call in driven]

    @cached_property
    def kept(self) -> list[tuple[Call, Call]]:
        """The results of all calls, each with a snapshot taken at once."""
        return [(call, call.snapshot()) for call in drive(self.envs, self.actions(), self.steps, self.seed)]

    @property
    def raw(self) -> Recording:
        """What the calls returned."""
        return [raw for raw, _ in self.kept]

    @property
    def recorded(self) -> Recording:
        """Snapshots of what the calls returned."""
        return [taken for _, taken in self.kept]

    @cached_property
    def alike(self) -> Recording:
        """A recording in which every row is given the same actions."""
        return self.record(actions=self.actions([0] * self.n))

    @cached_property
    def twin(self) -> Recording | None:
        """A recording of the same steps in another autoreset mode; None if none can be built."""
        for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED, AutoresetMode.SAME_STEP):
            if mode is not self.mode:
                with contextlib.suppress(Skip, ValueError, NotImplementedError):
                    return self.record(self.build(self.n, autoreset_mode=mode))
        return None

    @property
    def ends(self) -> list[Call]:
        """The recorded steps that ended a row."""
        return [call for call in self.recorded if call.kind == "step" and call.mask.any()]

    def need_ends(self) -> list[Call]:
        """The same, or Skip if there are none."""
        if not self.ends:
            raise Skip(f"no episode ended in {self.steps} steps: raise steps")
        return self.ends

    def rows(self, batch: Any) -> list[Any]:
        """The single observations of a batch."""
        return trees.rows(self.envs.observation_space, batch)

    @cached_property
    def constant(self) -> bool:
        """Whether every row of every observation was the same."""
        seen = [row for call in self.recorded for row in self.rows(call.obs)]
        return all(trees.same(row, seen[0]) for row in seen)

    def build(self, num_envs: int, **keywords: Any) -> Envs:
        """Another environment from ``make``, closed at the end; Skip where it does not take keywords."""
        if self.make is None:
            raise Skip("needs make(num_envs) to build other copies")
        for key in keywords:
            if key not in inspect.signature(self.make).parameters:
                raise Skip(f"needs make(num_envs, {key}=...)")
        self._open.append(self.make(num_envs, **keywords))
        return self._open[-1]

    def close(self) -> None:
        """Closes the environments that the run has built."""
        for envs in self._open:
            envs.close()
