"""The captured step: its logic on the CPU with a stand-in for CUDA's graphs, and the graph where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensor_path import on_tensors
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only
from trajectories import flat, make, same, scripted_actions

from mm_envs import CONFIGURATIONS
from mm_envs.engine.graph import StepGraph
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement


def rerun(run: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    """As a CUDA graph: capturing computes nothing, and a replay writes to the memory of the results."""
    results = tree_map_only(Tensor, torch.zeros_like, run())

    def replay() -> None:
        for target, value in zip(tree_leaves(results), tree_leaves(run()), strict=True):
            target.copy_(value)

    return results, replay


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
            options = {"reset_mask": torch.arange(plain.num_envs, device=plain.device) % 2 == 0}
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
        graph._graph = StepGraph(graph, rerun)
        assert_alike(plain, graph, 12, seed=3)
        assert_alike(plain, graph, 6, seed=4)  # the stream of another seed


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_episode_steps": 3},
        {"group_size": 1, "copy": False},
        {"feedback": "truth", "reward": "dense"},
        {"feedback": "cider_d"},
    ],
)
def test_nor_do_arguments_change_it(arguments: dict[str, Any]) -> None:
    with on_tensors():
        plain, graph = (make("MMCaption-v0", 12, items=256, **arguments) for _ in range(2))
        graph._graph = StepGraph(graph, rerun)
        assert_alike(plain, graph, 16, seed=3)


def test_a_snapshot_goes_on_with_a_graph() -> None:
    with on_tensors():
        plain, graph = (make("MMCaption-v0", 6, items=64) for _ in range(2))
        graph._graph = StepGraph(graph, rerun)
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
