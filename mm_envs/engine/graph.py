"""The step of a CUDA device as a graph that is captured once and replayed.

Captured is what depends on tensors alone: the transition, the judgement, and the counters. The context is
written outside, since which of its buffers is free depends on who holds them. A graph reads and writes fixed
memory: so before each replay everything that decides the step is copied into the tensors that it reads, and
what it wrote is cloned afterwards. The engine never holds memory of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from mm_envs.engine.buffers import FinalObservation
from mm_envs.episodes import scores_by_row

Engine: TypeAlias = Any
"""A MultimodalVectorEnv; its module imports this one."""
Tree: TypeAlias = "dict[str, Any]"
Capture: TypeAlias = "Callable[[Callable[[], Tree]], tuple[Tree, Callable[[], None]]]"
"""Captures a function of fixed tensors; returns its results, fixed, too, and what computes them anew."""

_WARM_UPS = 3


class StepGraph:
    """Replays a graph, captured with the first step, with the results of the engine's ordinary step."""

    def __init__(self, engine: Engine, capture: Capture | None = None) -> None:
        self._engine, self._capture = engine, capture or captured
        self._inputs: dict[str, Tensor] = {}
        self._outputs: Tree = {}
        self._replay: Callable[[], None] | None = None

    def step(self, actions: Tensor) -> tuple[Any, Tensor, Tensor, Tensor, dict[str, Any]]:
        """``MultimodalVectorEnv.step`` with actions that were checked."""
        given = {"actions": actions, **self._read()}
        if self._replay is None:
            self._inputs = {name: value.clone() for name, value in given.items()}
            try:
                self._outputs, self._replay = self._capture(self._run)
            finally:
                self._write(given)
        for name, value in given.items():
            self._inputs[name].copy_(value)
        self._replay()
        results = tree_map_only(Tensor, torch.clone, self._outputs)
        self._write(results["next"])
        return self._returned(results)

    def _read(self) -> dict[str, Tensor]:
        """All tensors of the engine that decide a step; a reset replaces any of them."""
        engine, rows = self._engine, self._engine._rows
        values = {"key": rows.key, "item": rows.item, "stream": rows._stream}
        values |= {"length": engine._length, "return": engine._return, "score": engine._score}
        return values | {f"state/{key}": value for key, value in engine._state.items()}

    def _write(self, values: Mapping[str, Tensor]) -> None:
        """Sets the tensors that ``_read`` returns."""
        engine, rows = self._engine, self._engine._rows
        rows.key, rows.item, rows._stream = values["key"], values["item"], values["stream"]
        engine._length, engine._return, engine._score = values["length"], values["return"], values["score"]
        engine._state = {key: values[f"state/{key}"] for key in engine._state}

    def _run(self) -> Tree:
        """The part of a step that is captured, from the inputs."""
        self._write(self._inputs)
        engine = self._engine
        turn = engine._advance(self._inputs["actions"])
        last = engine._observed(turn.state, turn.past)
        reward, final = engine._scored(turn)
        engine._restart(turn)
        return {
            "results": (reward, turn.terminated, turn.truncated),
            "last": dict(last),
            "last_item": turn.past.item,
            "info": {"_final_obs": turn.ended, **final, **engine._info()},
            "seen": dict(engine._observed(engine._state, engine._rows)),
            "next": self._read(),
        }

    def _returned(self, results: Tree) -> tuple[Any, Tensor, Tensor, Tensor, dict[str, Any]]:
        """What a step returns: the results of the graph with the context, which is written here."""
        engine, keys = self._engine, tuple(self._engine.single_observation_space.spaces)
        last = {**(engine._buffers.last() or {}), **results["last"]}
        gather = partial(engine._buffers.gather, items=results["last_item"], rows=None)
        info = {"final_obs": FinalObservation(last, gather, keys), **results["info"]}
        seen = {**engine._buffers.current(engine._rows.item, None), **results["seen"]}
        return ({key: seen[key] for key in keys}, *results["results"], info)


def captured(run: Callable[[], Tree]) -> tuple[Tree, Callable[[], None]]:
    """Captures a function as a CUDA graph, after it has run a few times on a stream of its own."""
    stream, kept = torch.cuda.Stream(), _Kept()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            run()
        with kept:
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = run()
    held = list(kept.tensors.values())

    def replay(held: list[Tensor] = held) -> None:
        graph.replay()

    return results, replay


class _Kept(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Holds the tensors that a function reads and did not make: caches may drop tables, a graph may not."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tensors: dict[int, Tensor] = {}
        self._made: dict[int, Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor) and id(leaf) not in self._made:
                self.tensors[id(leaf)] = leaf
        self._made |= {id(leaf): leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)}
        return result


def check_graph(engine: Engine) -> None:
    """Raises ValueError where a step of an engine cannot be captured."""
    mode = engine.autoreset_mode
    feedback = f"feedback that is a fixed function of each row, not {type(engine.feedback).__name__}"
    for fits, needed in (
        (engine.device.type == "cuda", f"device='cuda', not '{engine.device}'"),
        (mode is AutoresetMode.SAME_STEP, f"autoreset_mode='SameStep', not '{mode.value}'"),
        (engine.output == "torch", f"output='torch', not {engine.output!r}"),
        (engine.render_mode is None, "render_mode=None: answers are drawn on the host"),
        (scores_by_row(engine.feedback), feedback),
    ):
        if not fits:
            raise ValueError(f"graph=True needs {needed}")
