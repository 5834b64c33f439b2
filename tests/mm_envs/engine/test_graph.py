"""The captured step: on the CPU with a substitute for CUDA's graphs, and with a graph where there is CUDA."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fake_device import DEVICE, FAKE, HostCopies, needs_fake_tensors
from tensor_path import on_tensors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from trajectories import flat, make, same, scripted_actions

from mm_envs import CONFIGURATIONS
from mm_envs.engine.graph import StepGraph, _Kept
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement


class Tape(TorchDispatchMode):
    """Notes operations with their tensors; as a CUDA graph, a replay runs them on the same memory.

    Python does not run again: what the operations read must be in the tensors that they read at first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.noted.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        for func, args, kwargs, result in self.noted:
            for target, value in zip(tree_leaves(result), tree_leaves(func(*args, **kwargs)), strict=True):
                if value is not target:
                    target.copy_(value)


def taped(run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    """Captures as ``mm_envs.engine.graph.captured`` does."""
    run()
    with Tape() as tape:
        results = run()
    for *_, result in tape.noted:
        for made in tree_leaves(result):
            made.zero_()  # capturing computes nothing
    return results, tape.replay


def few_items(name: str) -> dict[str, Any]:
    return {} if "dataset" in CONFIGURATIONS[name] else {"items": 256}


def entries(returned: tuple[Any, ...]) -> dict[str, Any]:
    """All leaves by path; of final entries the rows of their mask."""
    *results, info = returned
    leaves = flat({str(number): value for number, value in enumerate(results)})
    for key, value in flat(info).items():
        leaves[key] = value[info["_final_info"]] if key.startswith("/final") else value
    leaves |= {f"final_obs/{key}": value[info["_final_obs"]] for key, value in info["final_obs"].items()}
    return leaves


def assert_alike(plain: MultimodalVectorEnv, graph: MultimodalVectorEnv, steps: int, seed: int) -> None:
    """Both return the same, and what was returned stays as it is."""
    kept = []
    a, b = plain.reset(seed=seed), graph.reset(seed=seed)
    assert all(same(a[0][key].cpu(), b[0][key].cpu()) for key in a[0])
    for step in range(steps):
        if step == steps // 2:  # in the middle of episodes: a reset of some rows, which replaces all state
            options = {"reset_mask": torch.arange(plain.num_envs, device=plain.device) % 4 < 2}
            plain.reset(options=options), graph.reset(options=options)
        actions = scripted_actions(plain, step)
        one, other = (entries(envs.step(actions)) for envs in (plain, graph))
        assert one.keys() == other.keys()
        assert not [key for key in one if not same(one[key].cpu(), other[key].cpu())], step
        if plain.copy:
            kept.append((other, {key: value.clone() for key, value in other.items()}))
    assert all(same(held[key].cpu(), then[key].cpu()) for held, then in kept for key in held)
    one, other = plain.state_dict(), graph.state_dict()
    assert all(same(one[key].cpu(), other[key].cpu()) for key in one)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_replayed_step_is_the_ordinary_one(name: str) -> None:
    with on_tensors():
        plain, graph = (make(name, 12, **few_items(name)) for _ in range(2))
        graph._graph = StepGraph(graph, taped)
        assert_alike(plain, graph, 12, seed=3)
        assert_alike(plain, graph, 6, seed=4)  # the stream of another seed


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_episode_steps": 3},
        {"group_size": 2, "copy": False},
        {"feedback": "truth", "reward": "dense"},
        {"feedback": "cider_d"},
    ],
)
def test_nor_do_arguments_change_it(arguments: dict[str, Any]) -> None:
    with on_tensors():
        plain, graph = (make("MMCaption-v0", 12, items=256, **arguments) for _ in range(2))
        graph._graph = StepGraph(graph, taped)
        assert_alike(plain, graph, 16, seed=3)


def test_a_snapshot_goes_on_with_a_graph() -> None:
    with on_tensors():
        plain, graph = (make("MMCaption-v0", 6, items=64) for _ in range(2))
        graph._graph = StepGraph(graph, taped)
        assert_alike(plain, graph, 5, seed=1)
        snapshot = graph.state_dict()
        first = [entries(graph.step(scripted_actions(graph, step))) for step in range(4)]
        graph.load_state_dict(snapshot)
        again = [entries(graph.step(scripted_actions(graph, step))) for step in range(4)]
    assert all(same(a[key], b[key]) for a, b in zip(first, again, strict=True) for key in a)


def test_a_capture_that_fails_leaves_the_state() -> None:
    def fails(run: Callable[[], Any]) -> Any:
        run()
        raise RuntimeError("no graph")

    with on_tensors():
        envs = make("MMCaption-v0", 4, items=64)
        envs.reset(seed=0)
        before = envs.state_dict()
        with pytest.raises(RuntimeError, match="no graph"):
            StepGraph(envs, fails).step(scripted_actions(envs, 0))
        assert all(same(before[key], value) for key, value in envs.state_dict().items())


def test_what_a_graph_reads_is_kept() -> None:
    table, index = torch.arange(8), torch.tensor([1, 2])
    with _Kept() as kept:
        made = table[index] + 1
        made.mul_(table[0])
    assert {id(one) for one in kept.tensors.values()} == {id(table), id(index)}


@needs_fake_tensors
@pytest.mark.parametrize("name", ["MMCaption-v0", "MMGround-v0", "MMGuess-v0"])
def test_what_is_captured_does_not_wait_for_the_device(name: str) -> None:
    copies = HostCopies()

    def capture(run: Callable[[], Any]) -> Any:
        run()  # tables go to the device
        with copies:
            return run(), lambda: None

    make(name, 2).reset(seed=0)  # tables that are read from files are read now
    with warnings.catch_warnings(), FAKE:
        envs = make(name, 8, device=DEVICE, graph=True)
        envs._graph = StepGraph(envs, capture)
        envs.reset(seed=0)
        shape = (8, *(envs.single_action_space.shape or ()))
        dtype = torch.int64 if envs._choices is not None else torch.float32
        envs.step(torch.zeros(shape, dtype=dtype, device=DEVICE))
    assert not copies.found


class Unknown:
    sees_reference = False
    deterministic = True
    scores_prefix = False

    def score(self, episodes: Episodes) -> Judgement:
        return Judgement(torch.zeros(len(episodes)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "cpu"}, "needs device='cuda', not 'cpu'"),
        ({"autoreset_mode": "NextStep"}, "needs autoreset_mode='SameStep', not 'NextStep'"),
        ({"output": "numpy"}, "needs output='torch', not 'numpy'"),
        ({"render_mode": "ansi"}, "needs render_mode=None"),
        ({"feedback": Unknown()}, "needs feedback that is a fixed function of each row, not Unknown"),
    ],
)
def test_what_cannot_be_captured_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"graph=True {message}"):
        make("MMClassify-digits-v0", 2, **{"device": "cuda", **arguments}, graph=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA: torch sees none here")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_real_graph_gives_what_the_ordinary_step_gives(name: str) -> None:
    plain, graph = (make(name, 64, device="cuda", graph=graph) for graph in (False, True))
    assert_alike(plain, graph, 100, seed=3)
