"""The sides of the throughput benchmark: the engine, and plain Python under the usual vector environments."""

from __future__ import annotations

import inspect
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from benchmarks.baselines.plain_env import PlainCaptionEnv, PlainItems
from benchmarks.machine import available_cores
from mm_envs.engine.vector import MultimodalVectorEnv

_ACTION_BYTES = 8 << 20
_MAKER_ROWS = 256


@dataclass
class Side:
    """Something that steps, with its actions drawn beforehand.

    Attributes:
        name: What it is.
        rows: Its number of rows.
        fresh: Whether what it returns is never changed afterwards.
        step: Steps all rows once.
        actions: One entry a step, used again and again.
        close: Frees its processes.
    """

    name: str
    rows: int
    fresh: bool
    step: Callable[[Any], Any]
    actions: Sequence[Any]
    close: Callable[[], object] = lambda: None

    def run(self, seconds: float) -> float:
        """Steps for a while.

        Args:
            seconds: How long; at least one step is made.

        Returns:
            Row-steps a second.
        """
        step, actions, count, past = self.step, self.actions, 0, 0.0
        start = time.perf_counter()
        while count == 0 or past < seconds:
            # Held until the next step is done, as a trainer holds it.
            held = step(actions[count % len(actions)])
            count += 1
            past = time.perf_counter() - start
        del held
        return count * self.rows / past


def draw_actions(words: int, rows: int, generator: np.random.Generator, steps: int = 64) -> NDArray[np.int64]:
    """Uniformly random words, (steps, rows); fewer steps where they would take more than 8 MB."""
    steps = max(4, min(steps, _ACTION_BYTES // (8 * rows)))
    return generator.integers(words, size=(steps, rows))


def engine_side(
    rows: int, fresh: bool, generator: np.random.Generator, seed: int = 0, **task_arguments: Any
) -> Side:
    """Our side: MMCaption-v0 with its default annotator, truth, parts, final_obs and info.

    Args:
        rows: Number of rows.
        fresh: Fresh observations, or live buffers (``copy=False``).
        generator: Where the actions are drawn from.
        seed: Seed of the engine.
        task_arguments: Arguments of the task.
    """
    envs = MultimodalVectorEnv(rows, "caption", copy=fresh, **task_arguments)
    _make_items(envs, **task_arguments)
    envs.reset(seed=seed)
    words = int(envs.single_action_space.n)  # type: ignore[attr-defined]
    actions = torch.from_numpy(draw_actions(words, rows, generator)).unbind()
    name = "mm-envs" if fresh else "mm-envs, live buffers"
    return Side(name, rows, fresh, envs.step, actions, envs.close)


def _make_items(envs: MultimodalVectorEnv, **task_arguments: Any) -> None:
    """Shows every item of the split once, so that none is rendered while the clock runs."""
    indices = envs.task.dataset.range(envs.split)
    # Environments of one process share their items: another one, of more rows, makes them sooner.
    maker = MultimodalVectorEnv(_MAKER_ROWS, "caption", copy=False, **task_arguments)
    for first in range(indices.start, indices.stop, _MAKER_ROWS):
        items = torch.arange(first, first + _MAKER_ROWS).clamp(max=indices.stop - 1)
        maker.reset(options={"items": items})


@dataclass(frozen=True)
class Peer:
    """A usual way to step many plain environments.

    Attributes:
        name: What it is called.
        fresh: Whether what it returns is never changed afterwards.
        build: Makes it from functions that make one environment each.
        per_process: Whether every row is a process.
    """

    name: str
    fresh: bool
    build: Callable[[list[Callable[[], PlainCaptionEnv]]], Any]
    per_process: bool = False

    def side(
        self,
        rows: int,
        items: PlainItems,
        generator: np.random.Generator,
        seed: int = 0,
        make: Callable[[PlainItems], PlainCaptionEnv] = PlainCaptionEnv,
    ) -> Side:
        """The peer with a number of rows, reset and ready; ``make`` builds one environment."""
        envs = self.build([lambda: make(items)] * rows)
        if hasattr(envs, "seed"):  # Stable-Baselines3
            envs.seed(seed)
            envs.reset()
        else:
            envs.reset(seed=seed)
        actions = list(draw_actions(len(items.vocabulary), rows, generator))
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
