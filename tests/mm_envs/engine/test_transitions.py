"""Transitions with hidden state, observations that change, turns, and links to other items."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from fake_device import FAKE, HostCopies, needs_fake_tensors
from tensor_path import on_tensors
from torch import Tensor
from trajectories import flat, make, same, scripted_actions
from walk import STEPS, Walk, views

from mm_envs import check_vector_env
from mm_envs.engine.single import MultimodalEnv
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement
from mm_envs.tasks import make_task
from mm_envs.tasks.play import answered, hearing
from mm_envs.tasks.retrieve import Retrieve

HIDDEN = {"cell", "wind", "path", "chosen"}


class Listener:
    """Keeps what learned feedback is handed."""

    sees_reference = False
    deterministic = True
    scores_prefix = True

    def __init__(self) -> None:
        self.handed: list[Episodes] = []

    def score(self, episodes: Episodes) -> Judgement:
        self.handed.append(episodes)
        return Judgement(episodes.response.sum(1).to(torch.float32))


def walks(num_envs: int, **arguments: Any) -> MultimodalVectorEnv:
    return MultimodalVectorEnv(num_envs, Walk(), **{"feedback": "truth", **arguments})


def story(envs: MultimodalVectorEnv, row: int, steps: int = 11) -> list[dict[str, np.ndarray]]:
    """Everything that one row shows and ends with."""
    observation, _ = envs.reset(seed=4)
    recorded = []
    for step in range(steps):
        entry = {key: np.asarray(value[row]) for key, value in observation.items()}
        observation, reward, terminated, truncated, info = envs.step(scripted_actions(envs, step))
        entry |= {"reward": np.asarray(reward[row]), "end": np.asarray(terminated[row] | truncated[row])}
        if "final_info" in info and info["_final_info"][row]:
            final = flat(info["final_info"], "final") | flat(info.get("final_obs", {}), "final_obs")
            entry |= {key: np.asarray(value[row]) for key, value in final.items()}
        recorded.append(entry)
    return recorded


def assert_same(one: list[dict[str, np.ndarray]], other: list[dict[str, np.ndarray]]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        assert all(same(a[key], b[key]) for key in a), [key for key in a if not same(a[key], b[key])]


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("output", ["torch", "numpy"])
def test_conformance(mode: str, output: str) -> None:
    def made(num_envs: int, autoreset_mode: Any = mode, first_row: int = 0) -> MultimodalVectorEnv:
        return walks(num_envs, autoreset_mode=autoreset_mode, first_row=first_row, output=output)

    assert check_vector_env(made(3), make=made, steps=20, strict=True).ok


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
@pytest.mark.parametrize("limit", [None, 3])
def test_a_row_does_not_depend_on_the_others(mode: str, limit: int | None) -> None:
    arguments = {"autoreset_mode": mode, "max_episode_steps": limit}
    whole = story(walks(64, **arguments), 37)
    assert_same(whole, story(walks(1, first_row=37, **arguments), 0))
    assert_same(whole, story(walks(7, first_row=35, **arguments), 2))


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_rows_picked_out_equal_rows_under_a_mask(mode: str) -> None:
    picked = story(walks(16, autoreset_mode=mode), 9)
    with on_tensors():
        assert_same(picked, story(walks(16, autoreset_mode=mode), 9))


def test_the_start_depends_on_the_key_and_the_view_on_the_state() -> None:
    envs = walks(200)
    first, _ = envs.reset(seed=1)
    assert torch.equal(first["view"], views(envs._state["cell"])[:, 0])
    assert len(envs._state["cell"].unique()) == 5
    again, _ = envs.reset(seed=2)
    assert not torch.equal(again["view"], first["view"])
    assert not HIDDEN & set(first)


def test_what_is_hidden_stays_hidden_and_what_was_heard_is_handed_over() -> None:
    listener = Listener()
    envs = walks(6, feedback=listener, autoreset_mode="Disabled")
    observation, _ = envs.reset(seed=3)
    seen = []
    for step in range(STEPS):
        observation, *_, info = envs.step(scripted_actions(envs, step))
        seen.append(observation["view"])
    (episodes,) = listener.handed
    assert set(episodes.context) == {"digit"}
    assert episodes.reference is None
    assert episodes.turns is not None
    assert torch.equal(episodes.turns["view"], torch.stack(seen[:-1], 1))
    assert not HIDDEN & set(flat(info["final_info"]))


def test_whole_answers_hear_what_the_engine_hears() -> None:
    listener = Listener()
    envs = walks(32, feedback=listener, autoreset_mode="Disabled")
    envs.reset(seed=5)
    prompts, actions = envs.prompts(), torch.stack([scripted_actions(envs, t) for t in range(STEPS)], 1)
    for step in range(STEPS):
        envs.step(actions[:, step])
    played = answered(envs.task, prompts, listener.handed[0].response)
    assert played.turns is not None
    assert listener.handed[0].turns is not None
    assert torch.equal(played.turns["view"], listener.handed[0].turns["view"])
    hear = hearing(envs.task, prompts)
    assert hear is not None
    # What is heard first does not depend on what is done later.
    later = listener.handed[0].response.clone()
    later[:, 2:] = (later[:, 2:] + 1) % 3
    assert torch.equal(hear(later)["view"][:, :2], played.turns["view"][:, :2])


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_snapshot_goes_on_with_hidden_state(steps: int) -> None:
    envs, twin = walks(8), walks(8)
    envs.reset(seed=6)
    for step in range(steps):
        envs.step(scripted_actions(envs, step))
    observation = twin.load_state_dict(envs.state_dict())
    assert set(twin._state) == HIDDEN
    for step in range(steps, steps + 9):
        one, other = (each.step(scripted_actions(each, step)) for each in (envs, twin))
        assert_same(
            [{k: np.asarray(v) for k, v in flat({"o": one[0], "r": one[1]}).items()}],
            [{k: np.asarray(v) for k, v in flat({"o": other[0], "r": other[1]}).items()}],
        )
    assert set(observation) == {"digit", "view"}


def test_dense_reward_adds_up_to_the_terminal_one() -> None:
    dense, terminal = walks(12, reward="dense"), walks(12)
    for envs in (dense, terminal):
        envs.reset(seed=7)
    total = torch.zeros(12)
    for step in range(STEPS):
        actions = scripted_actions(dense, step)
        total += dense.step(actions)[1]
        last = terminal.step(actions)[1]
    torch.testing.assert_close(total, last)


def test_the_oracle_reaches_the_best_and_one_row_is_a_plain_environment() -> None:
    env = MultimodalEnv(task=Walk(), feedback="truth")
    observation, _ = env.reset(seed=8)
    for step in range(STEPS):
        best = env.task.oracle(dict(env.engine.reference()))
        observation, reward, terminated, _, info = env.step(int(env.task.answer.action(best, step)[0]))
    assert terminated
    assert (reward, info["utility"]) == (1.0, 1.0)
    assert env.observation_space.contains(observation)


@needs_fake_tensors
@pytest.mark.parametrize("task", [Walk, lambda: make_task("retrieve", items=64), lambda: make_task("guess")])
def test_a_step_copies_nothing_to_the_host(task: Any) -> None:
    MultimodalVectorEnv(2, task(), feedback="truth").reset(seed=0)
    with warnings.catch_warnings(), FAKE:
        envs = MultimodalVectorEnv(8, task(), feedback="truth", device="cuda:7")
        envs.reset(seed=0)
        actions = torch.zeros(8, dtype=torch.int64, device="cuda:7")
        envs.step(actions)
        with HostCopies() as copies:
            for _ in range(4):
                envs.step(actions)
    assert not copies.found


# Links to other items -------------------------------------------------------------------------------------


def stepped(name: str, num_envs: int, **arguments: Any) -> MultimodalVectorEnv:
    envs = make(name, num_envs, **arguments)
    envs.reset(seed=2)
    return envs


def test_candidates_are_the_pictures_of_the_items_that_are_named() -> None:
    envs = stepped("MMRetrieve-v0", 5, items=256)
    task, prompts = envs.task, envs.prompts()
    raw = task.unlinked(prompts.item, ("candidates", "target"))
    pictures = task.dataset.batch(raw["candidates"].flatten(), ("image",))["image"]
    shown = prompts.context["candidates"]
    assert torch.equal(shown.flatten(0, 1), pictures)
    assert torch.equal(shown, task.batch(prompts.item, ("candidates",))["candidates"])
    assert torch.equal(raw["candidates"].gather(1, raw["target"][:, None])[:, 0], prompts.item)
    assert all(len(row.unique()) == 8 for row in raw["candidates"])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_candidates_are_of_the_same_split(split: str) -> None:
    task = make_task("retrieve", items=64, candidates=4)
    items = torch.tensor(list(task.dataset.range(split)))
    named = task.unlinked(items, ("candidates",))["candidates"]
    assert bool(((named >= items.min()) & (named <= items.max())).all())


def test_a_candidate_costs_an_index_and_no_copy() -> None:
    envs = stepped("MMRetrieve-v0", 4, items=64)
    tables = envs._pool.tables
    assert tables["image"].shape == (64, 3, 64, 64)
    assert tables["candidates"].shape == (64, 8)
    pictures = [name for name, table in tables.items() if table.numel() > 64 * 64]
    assert pictures == ["image"]


def test_items_that_are_referred_to_are_made_when_they_are_shown() -> None:
    few = stepped("MMRetrieve-v0", 1, items=4096)
    one = few.prompts().context["candidates"]
    assert bool(few._pool._missing.any())
    # The item of the row and that of a row before its first reset, with the blocks of their candidates.
    assert 0 < (~few._pool._missing).sum() <= 2 * 9
    several = stepped("MMRetrieve-v0", 64, items=4096).prompts().context["candidates"]
    assert torch.equal(one[0], several[0])
    assert bool((one.flatten(2).float().std(2) > 0).all())


def test_environments_share_items_only_if_they_make_the_same() -> None:
    one, same_one, other = (stepped("MMRetrieve-v0", 2, items=64, candidates=n) for n in (4, 4, 5))
    assert one._pool is same_one._pool
    assert one._pool is not other._pool
    assert one.task.fingerprint() == same_one.task.fingerprint() != other.task.fingerprint()
    assert one.task.fingerprint() != one.task.dataset.fingerprint()


def test_rankings_and_choices_ask_the_same() -> None:
    choice, ranking = (make_task("retrieve", items=64, answer=answer) for answer in ("choice", "ranking"))
    items = torch.arange(64)
    names = ("query", "candidates", "target")
    one, other = choice.unlinked(items, names), ranking.unlinked(items, names)
    assert all(torch.equal(one[name], other[name]) for name in names)
    order = ranking.oracle({"target": one["target"]})
    assert torch.equal(order[:, 0], one["target"])
    second = order[:, [1, 0, *range(2, 8)]]
    worth: Tensor = ranking.utility(second, None, {"target": one["target"]}).reward
    assert torch.equal(worth, torch.full((64,), 0.5))
    assert isinstance(ranking, Retrieve)
