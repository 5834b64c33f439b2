"""Sides that are timed in turns: the engine, and plain Python under the usual vector environments."""

from __future__ import annotations

import inspect
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from benchmarks.machine import available_cores
from benchmarks.report import Table
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.statistics import spread

_ACTION_BYTES = 8 << 20
_MAKER_ROWS = 256


@dataclass
class Side:
    """Something that steps, with its actions drawn beforehand.

    Attributes:
        name: Its name in tables.
        rows: Its number of rows.
        fresh: Whether its observations are never changed afterwards.
        step: Steps all rows once.
        actions: One entry a step, used cyclically.
        close: Frees its processes.
    """

    name: str
    rows: int
    fresh: bool
    step: Callable[[Any], Any]
    actions: Sequence[Any]
    close: Callable[[], object] = lambda: None

    def run(self, seconds: float) -> float:
        """Steps for a number of seconds, at least once; returns row-steps a second."""
        step, actions, count, past = self.step, self.actions, 0, 0.0
        start = time.perf_counter()
        while count == 0 or past < seconds:
            # Kept until the next step is done, as a trainer keeps it.
            kept = step(actions[count % len(actions)])
            count += 1
            past = time.perf_counter() - start
        del kept
        return count * self.rows / past

    def result(self, speeds: Sequence[float]) -> dict[str, Any]:
        """Name, rows and the speeds of all turns, as JSON values."""
        return {"name": self.name, "rows": self.rows, "fresh": self.fresh, "speeds": list(speeds)}


def take_turns(
    sides: Sequence[Side], repeats: int, seconds: float, between: Callable[[], object] = lambda: None
) -> list[list[float]]:
    """Runs all sides in turns, in alternating order, after a short turn that does not count.

    Args:
        sides: What is timed; other work on the machine then affects all of them alike.
        repeats: The number of turns of each side.
        seconds: The length of a turn.
        between: Called before every repeat.

    Returns:
        For each side its row-steps a second, one number a round.
    """
    for side in sides:
        side.run(seconds / 5)
    speeds: list[list[float]] = [[] for _ in sides]
    for count in range(repeats):
        between()
        order = list(range(len(sides)))
        for i in order if count % 2 == 0 else reversed(order):
            speeds[i].append(sides[i].run(seconds))
    return speeds


def speed_table(title: str, sides: Sequence[Mapping[str, Any]]) -> Table:
    """Medians and quartiles of stored sides."""
    rows = []
    for side in sides:
        found = spread(side["speeds"])
        quartiles = f"{found.median:,.0f} ({found.lower:,.0f} to {found.upper:,.0f})"
        rows.append((side["name"], f"{side['rows']:,}", quartiles, str(found.count)))
    return Table(title, ("side", "rows", "median (quartiles)", "turns"), rows)


def draw_actions(words: int, rows: int, generator: np.random.Generator, steps: int = 64) -> NDArray[np.int64]:
    """Uniformly random words, (steps, rows); fewer steps where they would take more than 8 MB."""
    steps = max(4, min(steps, _ACTION_BYTES // (8 * rows)))
    return generator.integers(words, size=(steps, rows))


def engine_side(
    rows: int,
    fresh: bool,
    generator: np.random.Generator,
    seed: int = 0,
    task: str = "caption",
    final: bool = False,
    **arguments: Any,
) -> Side:
    """The engine: a task with its default feedback, truth, parts, final_obs and info.

    Args:
        rows: Number of rows.
        fresh: Fresh observations, or live buffers (``copy=False``).
        generator: Where the actions are drawn from.
        seed: Seed of the engine.
        task: A task whose actions are choices.
        final: Whether the picture of every ``final_obs`` is read.
        arguments: Further arguments of the engine and the task.
    """
    envs = MultimodalVectorEnv(rows, task, copy=fresh, **arguments)
    make_items(envs, task, **arguments)
    envs.reset(seed=seed)
    actions = torch.from_numpy(draw_actions(choices(envs.single_action_space), rows, generator)).unbind()
    name = "mm-envs" + ("" if fresh else ", live buffers") + (", final_obs read" if final else "")
    return Side(name, rows, fresh, _reading(envs.step) if final else envs.step, actions, envs.close)


def _reading(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A step after which the picture of ``final_obs`` is read and kept."""

    def run(actions: Any) -> Any:
        result = step(actions)
        last = result[4].get("final_obs")
        return result if last is None else (*result, last["image"])

    return run


def choices(space: gym.Space[Any]) -> int:
    """The number of actions of a discrete space."""
    assert isinstance(space, gym.spaces.Discrete)
    return int(space.n)


def make_items(envs: MultimodalVectorEnv, task: str = "caption", **arguments: Any) -> None:
    """Shows every item of the split once, so that none is rendered during the timing."""
    indices = envs.task.dataset.range(envs.split)
    # Environments of one process share their items: one with more rows makes them sooner.
    maker = MultimodalVectorEnv(_MAKER_ROWS, task, copy=False, **arguments)
    for first in range(indices.start, indices.stop, _MAKER_ROWS):
        items = torch.arange(first, first + _MAKER_ROWS).clamp(max=indices.stop - 1)
        maker.reset(options={"items": items})


@dataclass(frozen=True)
class Peer:
    """A usual way to step many plain environments.

    Attributes:
        name: Its name in tables.
        fresh: Whether its observations are never changed afterwards.
        build: Makes it from functions that make one environment each.
        per_process: Whether every row is a process.
    """

    name: str
    fresh: bool
    build: Callable[[list[Callable[[], gym.Env[Any, Any]]]], Any]
    per_process: bool = False

    def side(
        self, rows: int, make: Callable[[], gym.Env[Any, Any]], generator: np.random.Generator, seed: int = 0
    ) -> Side:
        """The peer with a number of rows, reset and ready; ``make`` builds one environment."""
        envs = self.build([make] * rows)
        space = getattr(envs, "single_action_space", envs.action_space)
        if hasattr(envs, "seed"):  # Stable-Baselines3
            envs.seed(seed)
            envs.reset()
        else:
            envs.reset(seed=seed)
        actions = list(draw_actions(choices(space), rows, generator))
        return Side(self.name, rows, self.fresh, envs.step, actions, envs.close)


def _sync(copy: bool) -> Callable[[list[Any]], Any]:
    return lambda makers: SyncVectorEnv(makers, copy=copy, autoreset_mode=AutoresetMode.SAME_STEP)


def _async(makers: list[Any]) -> Any:
    # As many workers run at once as there are cores, where this version of Gymnasium can say so.
    options: dict[str, Any] = {}
    if "max_concurrency" in inspect.signature(AsyncVectorEnv).parameters:
        options["max_concurrency"] = available_cores()
    return AsyncVectorEnv(
        makers, shared_memory=True, context="fork", autoreset_mode=AutoresetMode.SAME_STEP, **options
    )


def _dummy(makers: list[Any]) -> Any:
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv(makers)


def peers() -> list[Peer]:
    """All peers that can run on this system.

    AsyncVectorEnv is left out where processes cannot be forked: each would render all items for itself.
    """
    found = [
        Peer("SyncVectorEnv", True, _sync(copy=True)),
        Peer("SyncVectorEnv, copy=False", False, _sync(copy=False)),
        Peer("DummyVecEnv", True, _dummy),
    ]
    if "fork" in multiprocessing.get_all_start_methods():
        found.append(Peer("AsyncVectorEnv", True, _async, per_process=True))
    return found
