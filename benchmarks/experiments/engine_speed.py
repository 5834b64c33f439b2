"""Speed of the engine: every bar of stepping, of one environment, and of feedback in the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.baselines.plain_env import PlainCaptionEnv, plain_items
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.baselines.coco_env import CocoEnv, coco_scorer
from benchmarks.experiments.baselines.plain_choice import PlainChoiceEnv, plain_choices
from benchmarks.report import Table
from benchmarks.sides import Side, choices, draw_actions, engine_side, make_items
from benchmarks.throughput import best_peers, results_in_turns
from feedback.reward_models import Ensemble, LearnedReward, RewardModel
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.statistics import ratio_of_medians, spread
from mm_envs.tasks import make_task

IDS = {"caption": "MMCaption-v0", "vqa": "MMVQA-v0", "classify": "MMClassify-v0"}
_TIMING = {"repeats": 9, "seconds": 0.5, "items": None}
_QUICK = {"threads": 1, "repeats": 2, "seconds": 0.01, "items": 64}
_SINGLE_STEPS = 200


def stepping(
    context: Context,
    seed: int,
    task: str,
    threads: int,
    rows: int,
    peer_rows: Sequence[int],
    repeats: int,
    seconds: float,
    items: int | None,
) -> dict[str, Any]:
    """Times the engine against the plain twin under every vector environment at its best size, in turns."""
    torch.set_num_threads(threads)
    generator, arguments = np.random.default_rng(seed), _arguments(items)
    finals = (False, True) if task == "caption" else (False,)
    ours = [
        engine_side(rows, fresh, generator, seed, task, final, **arguments)
        for final in finals
        for fresh in (True, False)
    ]
    twin = _plain(task, items)
    first, best, _ = best_peers(context, twin, generator, seed, peer_rows, min(peer_rows), seconds)
    return {"sides": results_in_turns([*ours, *best], repeats, seconds), "first_pass": first}


def single(
    context: Context, seed: int, task: str, threads: int, repeats: int, seconds: float, items: int | None
) -> dict[str, Any]:
    """Times one environment of ``gym.make`` against the plain twin: bare, wrapped, and eight at a time."""
    torch.set_num_threads(threads)
    generator = np.random.default_rng(seed)
    ours, twin = _registered(task, items), _plain(task, items)
    spec = EnvSpec("PlainTwin-v0", entry_point=lambda **_: twin())
    wrapped_twin = partial(gym.make, spec)
    pairs = {
        "bare": (_alone(ours().unwrapped, generator, seed), _alone(twin(), generator, seed)),
        "wrapped": (_alone(ours(), generator, seed), _alone(wrapped_twin(), generator, seed)),
        "DummyVecEnv of 8": (_eight(ours, generator, seed), _eight(twin, generator, seed)),
    }
    results = results_in_turns([side for pair in pairs.values() for side in pair], repeats, seconds)
    return {name: results[2 * i : 2 * i + 2] for i, name in enumerate(pairs)}


def metric(
    context: Context, seed: int, threads: int, rows: int, repeats: int, seconds: float, items: int | None
) -> dict[str, Any]:
    """Times captioning with CIDEr-D of all references as reward against pycocoevalcap in the plain twin."""
    torch.set_num_threads(threads)
    generator, arguments = np.random.default_rng(seed), _arguments(items)
    feedback: dict[str, Any] = {"feedback": "cider_d", "feedback_arguments": {"references": None}}
    ours = engine_side(rows, True, generator, seed, "caption", **feedback, **arguments)
    known = plain_items(**arguments)
    make = partial(CocoEnv, known, coco_scorer(known))
    _, best, _ = best_peers(context, make, generator, seed, (16,), 0, seconds)
    return {"sides": results_in_turns([ours, *best], repeats, seconds)}


def learned(
    context: Context, seed: int, task: str, threads: int, rows: int, seconds: float, items: int | None
) -> dict[str, Any]:
    """Times the parts of a step with a reward model of one member, of the default size, in the loop."""
    torch.set_num_threads(threads)
    generator, arguments = np.random.default_rng(seed), _arguments(items)
    member = RewardModel(make_task(task, **arguments), seed=seed)
    feedback = LearnedReward(member.spaces, model=Ensemble([member]))
    parts = {
        "encoding the context": _timed(member, "encode"),
        "reading the answer": _timed(member, "read"),
        "feedback": _timed(feedback, "score"),
    }
    side = engine_side(rows, True, generator, seed, task, feedback=feedback, **arguments)
    side.run(seconds)
    for one in parts.values():
        one.clear()
    start = perf_counter()
    speed = side.run(4 * seconds)
    whole, spent = perf_counter() - start, {name: sum(each) for name, each in parts.items()}
    side.close()
    within = spent["encoding the context"] + spent["reading the answer"]
    shares = {
        "engine": whole - spent["feedback"],
        **{name: spent[name] for name in list(parts)[:2]},
        "rest of the feedback": spent["feedback"] - within,
    }
    return {"speed": speed, "shares": {name: value / whole for name, value in shares.items()}}


def _timed(owner: Any, name: str) -> list[float]:
    """Times every call of a method of one object; returns the list that the seconds are added to."""
    method, spent = getattr(owner, name), list[float]()

    def run(*arguments: Any) -> Any:
        start = perf_counter()
        result = method(*arguments)
        spent.append(perf_counter() - start)
        return result

    setattr(owner, name, run)
    return spent


def _plain(task: str, items: int | None) -> Callable[[], gym.Env[Any, Any]]:
    if task == "caption":
        return partial(PlainCaptionEnv, plain_items(**_arguments(items)))
    return partial(PlainChoiceEnv, plain_choices(task, **_arguments(items)))


def _registered(task: str, items: int | None) -> Callable[[], gym.Env[Any, Any]]:
    arguments = _arguments(items)
    make_items(MultimodalVectorEnv(1, task, **arguments), task, **arguments)
    return partial(gym.make, IDS[task], **arguments)


def _arguments(items: int | None) -> dict[str, Any]:
    return {} if items is None else {"items": items}


def _alone(env: gym.Env[Any, Any], generator: np.random.Generator, seed: int) -> Side:
    """One environment that steps and resets; one step of the side is several of its own."""
    drawn = generator.integers(choices(env.action_space), size=(64, _SINGLE_STEPS)).tolist()
    env.reset(seed=seed)

    def run(actions: Sequence[int]) -> Any:
        for action in actions:
            result = env.step(action)
            if result[2]:
                env.reset()
        return result

    return Side("one", _SINGLE_STEPS, True, run, drawn)


def _eight(make: Callable[[], gym.Env[Any, Any]], generator: np.random.Generator, seed: int) -> Side:
    envs = DummyVecEnv([make] * 8)
    envs.seed(seed)
    envs.reset()
    actions = list(draw_actions(choices(envs.action_space), 8, generator))
    return Side("eight", 8, True, envs.step, actions, envs.close)


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Quotients of medians with their intervals, then all speeds."""
    rows = []
    for one in findings["stepping"]:
        sides = one.result["sides"]
        rows += [(*_cell(one), *_over_best(side, sides)) for side in sides if _is_ours(side)]
    for one in findings["metric"]:
        rows += [
            ("caption, CIDEr-D", _threads(one), *_over_best(one.result["sides"][0], one.result["sides"]))
        ]
    slower = []
    for one in findings["single"]:
        for name, (ours, plain) in one.result.items():
            ratio = ratio_of_medians(plain["speeds"], ours["speeds"], np.random.default_rng(0))
            slower.append((*_cell(one), name, ratio.format(".2f"), _median(ours), _median(plain)))
    parts = []
    for one in findings["learned"]:
        shares = [f"{share:.0%}" for share in one.result["shares"].values()]
        parts.append((*_cell(one), f"{one.result['speed']:,.0f}", *shares))
    names = tuple(findings["learned"][0].result["shares"])
    columns = ("task", "threads", "side", "quotient [95 %]", "row-steps a second", "best peer")
    single_columns = ("task", "threads", "how", "times slower [95 %]", "steps a second", "of the plain twin")
    return [
        Table("Speed over that of the best peer, medians (percentile bootstrap)", columns, rows),
        Table("One environment of gym.make against the plain twin", single_columns, slower),
        Table(
            "Where the time of a step goes with a reward model in the loop",
            ("task", "threads", "row-steps a second", *names),
            parts,
        ),
    ]


def _over_best(ours: Mapping[str, Any], sides: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The quotient with the best peer that promises as much."""
    peers = [side for side in sides if not _is_ours(side) and (side["fresh"] or not ours["fresh"])]
    best = max(peers, key=lambda side: spread(side["speeds"]).median)
    ratio = ratio_of_medians(ours["speeds"], best["speeds"], np.random.default_rng(0))
    return ours["name"], ratio.format(".1f"), _median(ours), f"{best['name']}, {best['rows']} rows"


def _is_ours(side: Mapping[str, Any]) -> bool:
    return bool(side["name"].startswith("mm-envs"))


def _median(side: Mapping[str, Any]) -> str:
    return f"{spread(side['speeds']).median:,.0f}"


def _cell(one: Finding) -> tuple[str, str]:
    return one.cell.arguments["task"], _threads(one)


def _threads(one: Finding) -> str:
    return str(one.cell.arguments["threads"])


EXPERIMENT = Experiment(
    "Speed of the engine",
    "The engine with 1,024 rows, its default feedback, truth and info, against the same task as a plain "
    "`gymnasium.Env` under the vector environments of Gymnasium and Stable-Baselines3, each at its best "
    "number of rows; fresh observations are compared with fresh ones, live buffers with any. One "
    "environment of `gym.make` is compared with the plain twin bare, with the wrappers of `gym.make`, and "
    "eight at a time in `DummyVecEnv`. CIDEr-D uses all references, the peer pycocoevalcap. Actions are "
    "uniformly random, items are made beforehand, and all sides of a cell take turns in one process.",
    (
        Grid(
            stepping,
            {"rows": 1024, "peer_rows": (16, 64, 256), **_TIMING},
            {"task": tuple(IDS), "threads": (1, 2)},
            quick={"rows": 16, "peer_rows": (4,), **_QUICK},
        ),
        Grid(single, _TIMING, {"task": tuple(IDS), "threads": (1, 2)}, quick=_QUICK),
        Grid(metric, {"rows": 1024, **_TIMING}, {"threads": (1, 2)}, quick={"rows": 16, **_QUICK}),
        Grid(
            learned,
            {"rows": 1024, "seconds": 2.0, "items": None},
            {"task": tuple(IDS), "threads": (1, 2)},
            quick={"rows": 16, "seconds": 0.01, "items": 64, "threads": 1},
        ),
    ),
    tables,
)
