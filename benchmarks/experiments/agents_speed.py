"""Speed of training on captions against Stable-Baselines3, with encoders of the same kind and width."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from agents.examples import Examples
from agents.on_policy import OnPolicy
from agents.sb3.policy import policy_arguments, sb3_policy
from agents.trainers import make_settings, make_trainer
from agents.tuned import tuned
from benchmarks.baselines.plain_env import PlainCaptionEnv, plain_items
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.report import Table
from benchmarks.scores import held_out
from benchmarks.sides import Side, take_turns
from mm_envs.answers import Text
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.statistics import ratio_of_medians, spread
from mm_envs.tasks import CONFIGURATIONS, make_task
from mm_envs.tasks.task import Task

_SIDE, _FEATURES, _DEMONSTRATIONS = 48, 128, 256
_ROWS, _STOCK_ROWS, _ROLLOUT = 64, 8, 2048
# Trainer and settings: one answer to a context, by one step of the optimizer or eight; groups of eight.
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "reinforce, 1 answer": ("reinforce", {}),
    "ppo, 1 answer, 2 epochs": ("ppo", {}),
    "rloo, 8 answers": ("rloo", {"answers": 8}),
}
# Stable-Baselines3 with its defaults, with less to compute, and with its CNN for pictures.
STOCK: dict[str, dict[str, Any]] = {
    "stock PPO": {},
    "stock PPO, 1 epoch": {"n_epochs": 1, "batch_size": 256},
    "stock PPO, its own network": {"policy_kwargs": None},
}
_TASKS = {"caption": "MMCaption-v0", "digits": "MMClassify-digits-v0"}
_FAR = 10.0  # stock PPO is given so many times our time


def speeds(
    context: Context,
    seed: int,
    demonstration_steps: int,
    repeats: int,
    seconds: float,
    items: int | None,
    rollout: int,
) -> dict[str, Any]:
    """Times updates of every trainer in turns, after a warm start: captions have their usual length.

    Args:
        context: Not used.
        seed: Of the agents.
        demonstration_steps: Good answers that each imitates before.
        repeats: Turns of each side.
        seconds: The length of a turn; at least one update.
        items: Items of the task; None for all.
        rollout: Words that stock PPO writes before it learns.

    Returns:
        "sides": words a second of each; "words": the mean length of an answer in training.
    """
    arguments: dict[str, Any] = {"pixels": _SIDE} | ({} if items is None else {"items": items})
    made = [_our_side(name, seed, demonstration_steps, arguments) for name in OURS]
    sides = [side for side, _ in made]
    sides += [_stock_side(name, seed, demonstration_steps, arguments, rollout) for name in STOCK]
    found = take_turns(sides, repeats, seconds)
    results = [side.result(speed) for side, speed in zip(sides, found, strict=True)]
    lengths = {side.name: float(np.mean(words)) for side, words in made}
    return {"sides": results, "words": lengths}


def _our_side(
    name: str, seed: int, demonstration_steps: int, arguments: Mapping[str, Any]
) -> tuple[Side, list[float]]:
    """A side whose step is an update, counted in words; and the mean lengths of answers."""
    trainer = _warm(name, seed, demonstration_steps, arguments)
    lengths: list[float] = []
    draw = trainer.draw

    def counted() -> Any:
        drawn = draw()
        lengths.append(float(drawn.credit.written.sum(2).float().mean()))
        return drawn

    trainer.draw = counted  # type: ignore[method-assign]
    answers = _ROWS * trainer.settings.answers
    trainer.update()
    words = round(answers * lengths[-1])  # hardly changes while the clock runs
    return Side(name, words, True, lambda _: trainer.update(), (None,)), lengths


def _warm(name: str, seed: int, demonstration_steps: int, arguments: Mapping[str, Any]) -> OnPolicy:
    """A trainer after its warm start."""
    algo, changed = OURS[name]
    given = {"demonstrations": _DEMONSTRATIONS, "demonstration_steps": demonstration_steps, **changed}
    given |= {"value_warmup": 0} if algo == "ppo" else {}
    envs = MultimodalVectorEnv(_ROWS, "caption", feedback="truth", **arguments)
    sizes = {"features": _FEATURES, "hidden": _FEATURES, "fusion": "concat"}
    trainer = make_trainer(algo, envs, seed=seed, settings=make_settings(algo, given), **sizes)
    assert isinstance(trainer, OnPolicy)
    trainer.begin(100 * demonstration_steps + 1_000_000)
    while trainer.step < demonstration_steps:
        trainer.update()
    return trainer


def _stock_side(
    name: str, seed: int, demonstration_steps: int, arguments: Mapping[str, Any], rollout: int
) -> Side:
    """A side whose step is a rollout with its updates."""
    items = plain_items(**arguments)
    model = _stock(partial(PlainCaptionEnv, items), seed, rollout, **STOCK[name])
    clone(model, items.task, demonstration_steps, seed)
    run = partial(model.learn, rollout, reset_num_timesteps=False)
    return Side(name, rollout, True, lambda _: run(), (None,))


def _stock(make: Callable[[], gym.Env[Any, Any]], seed: int, rollout: int = _ROLLOUT, **settings: Any) -> PPO:
    """PPO of Stable-Baselines3 on several environments, with our encoders unless settings say otherwise."""
    network = policy_arguments(_FEATURES, "concat", _FEATURES)
    about: dict[str, Any] = {"n_steps": rollout // _STOCK_ROWS, "policy_kwargs": network, **settings}
    vec_env = DummyVecEnv([make] * _STOCK_ROWS)
    return PPO("MultiInputPolicy", vec_env, seed=seed, device="cpu", **about)


def clone(model: PPO, task: Task, steps: int, seed: int, batch: int = 32) -> None:
    """Imitates good answers to the first training items, word by word, as ``agents.demonstrations`` does.

    Args:
        model: What imitates.
        task: A task whose answers are words.
        steps: Answers, with repetition.
        seed: Of their order.
        batch: Answers an update.
    """
    examples, policy = Examples(task, _DEMONSTRATIONS, seed=seed), model.policy
    policy.set_training_mode(True)
    for group in policy.optimizer.param_groups:
        group["lr"] = 2e-3  # PPO sets its own before each of its updates
    for step in range(0, steps, batch):
        drawn = examples.batch(step, batch)
        observations, words = _word_by_word(task, examples.contexts(step, batch), drawn.response[:, 0])
        _, log_prob, _ = policy.evaluate_actions(observations, words)
        policy.optimizer.zero_grad()
        torch.autograd.backward(-log_prob.mean())
        policy.optimizer.step()


def _word_by_word(
    task: Task, context: Mapping[str, Tensor], response: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """The observation before each word of answers, and the words."""
    assert isinstance(task.answer, Text)
    length = task.answer.close(response)[1]
    assert length is not None
    row, position = task.answer.written(length, response.shape[1]).nonzero().unbind(1)
    before = torch.arange(response.shape[1]) < position[:, None]
    observations = {key: value[row] for key, value in context.items()}
    observations["tokens"] = torch.where(before, response[row], 0)
    observations["tokens_length"] = position[:, None]
    return observations, response[row, position]


def time_to(
    context: Context, seed: int, task: str, score: float, probe: float, most: float
) -> dict[str, Any]:
    """The processor time until an agent reaches a score on validation items, with our trainer and theirs.

    Args:
        context: Progress.
        seed: Of the agents.
        task: "caption", from demonstrations whose time counts, or "digits", from nothing.
        score: Where to stop, (utility - blind) / (oracle - blind).
        probe: Seconds of training between two evaluations.
        most: Seconds after which our training ends; the other may take ten times as long as ours took.

    Returns:
        "ours" and "stock", each with "seconds" and the "score" that was reached by then.
    """
    ours = _Clocked(score, probe, most)
    ours.run(*_our_training(task, seed))
    context.progress(f"stock PPO, at most {_FAR * ours.seconds:,.0f} s")
    stock = _Clocked(score, probe, _FAR * ours.seconds)
    stock.run(*_stock_training(task, seed))
    return {"ours": ours.result(), "stock": stock.result()}


@dataclass
class _Clocked:
    """A training that is stopped now and then, by its processor time, to be scored."""

    score: float
    probe: float
    most: float
    seconds: float = 0.0
    reached: float = -np.inf

    def run(self, update: Callable[[], object], scored: Callable[[], float]) -> None:
        """Trains until the score or the end of the time."""
        due = self.probe
        while self.reached < self.score and self.seconds < self.most:
            start = time.process_time()
            update()
            self.seconds += time.process_time() - start
            if self.seconds >= due:
                due, self.reached = self.seconds + self.probe, scored()

    def result(self) -> dict[str, float]:
        """Seconds and score."""
        return {"seconds": self.seconds, "score": float(self.reached)}


def _our_training(task: str, seed: int) -> tuple[Callable[[], object], Callable[[], float]]:
    """Our trainer with its tuned settings."""
    id = _TASKS[task]
    usual = tuned(id, "rloo")
    envs: Any = gym.make_vec(id, num_envs=usual.num_envs, feedback="truth")
    settings = make_settings("rloo", dict(usual.settings))
    trainer = make_trainer("rloo", envs, seed=seed, settings=settings, **usual.policy)
    trainer.begin(usual.steps)
    known = envs.unwrapped.task
    return trainer.update, lambda: held_out(known, trainer.policy(), 500, "validation").score()


def _stock_training(task: str, seed: int) -> tuple[Callable[[], object], Callable[[], float]]:
    """PPO of Stable-Baselines3 with its defaults, on captions after as many demonstrations as ours."""
    id = _TASKS[task]
    known = make_task(**CONFIGURATIONS[id])
    model = _stock(partial(gym.make, id, feedback="truth"), seed)
    imitated = int(tuned(id, "rloo").settings.get("demonstrations", 0))
    todo = [partial(clone, model, known, 3_200, seed) for _ in range(20)] if imitated else []

    def update() -> None:
        if todo:
            todo.pop()()
        else:
            model.learn(_ROLLOUT, reset_num_timesteps=False)

    return update, lambda: held_out(known, sb3_policy(model), 500, "validation").score()


def profile(
    context: Context, seed: int, demonstration_steps: int, updates: int, items: int | None
) -> dict[str, Any]:
    """The parts of an update of groups of eight answers, after a warm start.

    Returns:
        The share of the time of each part; "a second": words a second.
    """
    arguments: dict[str, Any] = {"pixels": _SIDE} | ({} if items is None else {"items": items})
    trainer = _warm("rloo, 8 answers", seed, demonstration_steps, arguments)
    parts: dict[str, float] = {}
    with (
        _clocked(trainer, "encoded", "encoder and fusion", parts),
        _clocked(trainer.model.head, "sample", "drawing words", parts),
        _clocked(trainer.model.head, "distribution", "log-probabilities", parts),
        _clocked(trainer, "descend", "backward and optimizer", parts),
    ):
        trainer.update()
        parts.clear()
        start = time.perf_counter()
        for _ in range(updates):
            trainer.update()
        whole = time.perf_counter() - start
    shares = {name: spent / whole for name, spent in parts.items()}
    return {**shares, "engine, feedback and the rest": 1 - sum(shares.values())}


@contextmanager
def _clocked(owner: Any, name: str, part: str, spent: dict[str, float]) -> Iterator[None]:
    """Adds the time of every call of a method of one object to a part."""
    method = getattr(owner, name)

    def run(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        result = method(*arguments, **named)
        spent[part] = spent.get(part, 0.0) + time.perf_counter() - start
        return result

    setattr(owner, name, run)
    try:
        yield
    finally:
        delattr(owner, name)


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Quotients of medians, times to a score, and the profile."""
    return [
        speed_table([one.result for one in findings["speeds"]]),
        time_table(findings["time_to"]),
        profile_table([one.result for one in findings["profile"]]),
    ]


def speed_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Words a second of each side, over those of stock PPO."""
    sides: dict[str, list[float]] = {}
    for one in results:
        for side in one["sides"]:
            sides.setdefault(side["name"], []).extend(side["speeds"])
    rows = []
    for name, several in sides.items():
        quotients = [
            ratio_of_medians(several, sides[stock], np.random.default_rng(0)).format(".1f") for stock in STOCK
        ]
        words = np.mean([one["words"][name] for one in results]) if name in OURS else None
        length = "" if words is None else f"{words:.1f}"
        rows.append((name, f"{spread(several).median:,.0f}", *quotients, length))
    columns = ("side", "words a second", *(f"times {name} [95 %]" for name in STOCK), "words an answer")
    return Table("Training after a warm start, medians (percentile bootstrap)", columns, rows)


def time_table(findings: Sequence[Finding]) -> Table:
    """Processor time to a score."""
    rows = []
    for one in findings:
        given, ours, stock = one.cell.arguments, one.result["ours"], one.result["stock"]
        reached = stock["score"] >= given["score"]
        quotient = f"{'' if reached else 'above '}{stock['seconds'] / ours['seconds']:.1f}"
        rows.append(
            (
                *(_TASKS[given["task"]], str(one.cell.seed), f"{ours['seconds']:,.0f} ({ours['score']:.2f})"),
                *(f"{stock['seconds']:,.0f} ({stock['score']:.2f})", quotient),
            )
        )
    columns = ("environment", "seed", "ours, s (score)", "stock PPO, s (score)", "times longer")
    return Table("Processor time to 80 % of the way from the blind to the oracle policy", columns, rows)


def profile_table(results: Sequence[Mapping[str, float]]) -> Table:
    """Shares of the time of an update."""
    rows = [(name, f"{np.mean([one[name] for one in results]):.0%}") for name in results[0]]
    return Table("Where the time of an update of rloo with 8 answers goes", ("part", "share"), rows)


EXPERIMENT = Experiment(
    "Speed of training",
    "Captions of 48 by 48 pixels, reward is the truth, one thread. Every side but one has the picture "
    "encoder, the fusion `concat` and the width 128 of this package; all imitated 256 demonstrations. Stock "
    "PPO is that of Stable-Baselines3 with its defaults (10 epochs, minibatches of 64) on a plain "
    "environment in Python under `DummyVecEnv` of 8; it learns word by word. A word is a step of that "
    "environment. Sides take turns in one process.",
    (
        Grid(
            speeds,
            {
                "demonstration_steps": 16_000,
                "repeats": 7,
                "seconds": 3.0,
                "items": None,
                "rollout": _ROLLOUT,
            },
            quick={"demonstration_steps": 64, "repeats": 2, "seconds": 0.01, "items": 64, "rollout": 64},
        ),
        Grid(
            time_to,
            {"score": 0.8, "probe": 1.0, "most": 600.0},
            {"task": ("digits",)},
            range(3),
            quick={"score": 0.2, "most": 4.0},
        ),
        Grid(
            time_to,
            {"task": "caption", "score": 0.8, "probe": 15.0, "most": 600.0},
            quick={"most": 0.2, "probe": 0.1},
        ),
        Grid(
            profile,
            {"demonstration_steps": 16_000, "updates": 50, "items": None},
            quick={"demonstration_steps": 64, "updates": 2, "items": 64},
        ),
    ),
    tables,
)
