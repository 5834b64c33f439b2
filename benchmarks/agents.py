"""Agents trained on imperfect feedback against agents trained on the truth, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from agents.evaluate import Estimate, evaluate
from benchmarks.machine import Calibration, Machine, describe
from benchmarks.reports import Options, Table
from mm_envs.names import one_of
from mm_envs.tasks import CONFIGURATIONS

LEAST_ACCURACY, LEAST_SHARE = 0.95, 0.95


@dataclass(frozen=True)
class Runs:
    """Held-out utility of agents that differ in their seed alone.

    Attributes:
        feedback: Who gave the reward in training.
        utility: The mean utility on the test split, one a seed.
    """

    feedback: str
    utility: tuple[float, ...]

    @property
    def interval(self) -> Estimate:
        """The mean over seeds with its 95 % interval (Student's t)."""
        return Estimate.of(np.array(self.utility))


@dataclass(frozen=True)
class AgentsReport:
    """What training on feedback reached, beside what training on the truth reached.

    Attributes:
        id: The environment.
        algo: The algorithm.
        steps: Environment steps of each training.
        items: Held-out items, each shown once.
        runs: One entry a feedback.
        share: Utility reached on the first feedback divided by that reached on the truth, seed by seed.
        machine: Where it was measured.
        busy: Why the machine counts as busy; empty if it does not. Utility does not depend on it.
        targets: What must be reached.
    """

    id: str
    algo: str
    steps: int
    items: int
    runs: tuple[Runs, ...]
    share: Estimate
    machine: Machine
    busy: tuple[str, ...] = ()
    targets: Mapping[str, float] = field(
        default_factory=lambda: {"utility": LEAST_ACCURACY, "share": LEAST_SHARE}
    )

    @property
    def met(self) -> bool:
        """Whether utility and share reach their targets."""
        return (
            self.runs[0].interval.mean >= self.targets["utility"] and self.share.mean >= self.targets["share"]
        )

    def tables(self) -> list[Table]:
        """The findings as a table of texts."""
        rows = [(f"trained on {runs.feedback}", *_said(runs.interval), "") for runs in self.runs]
        rows[0] = (*rows[0][:-1], f"at least {self.targets['utility']}")
        rows.append(("share of the truth", *_said(self.share), f"at least {self.targets['share']}"))
        title = (
            f"{self.algo.upper()} on {self.id}, {self.steps:,} steps, {len(self.runs[0].utility)} seeds, "
            f"{self.items} held-out items each: {'met' if self.met else 'MISSED'}"
        )
        return [Table(title, ("", "utility", "95 % interval", "target"), rows)]

    def lines(self) -> list[str]:
        """Where it was measured, and whether the machine was busy, one sentence each."""
        packages = ", ".join(f"{name} {version}" for name, version in self.machine.packages.items())
        return [
            f"{self.machine.processor}, {self.machine.cores} cores; {packages}",
            *(f"BUSY MACHINE: {reason}" for reason in self.busy),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "id": self.id,
            "algo": self.algo,
            "steps": self.steps,
            "items": self.items,
            "runs": [
                {"feedback": r.feedback, "utility": list(r.utility), "interval": vars(r.interval)}
                for r in self.runs
            ],
            "share": vars(self.share),
            "targets": dict(self.targets),
            "met": self.met,
            "machine": vars(self.machine),
            "busy": list(self.busy),
        }


def _said(estimate: Estimate) -> tuple[str, str]:
    return f"{estimate.mean:.4f}", f"{estimate.low:.4f} to {estimate.high:.4f}"


def agents(
    name: str = "MMClassify-digits-v0",
    algo: str = "ppo",
    *,
    seeds: Sequence[int] = range(5),
    steps: int = 60_000,
    num_envs: int = 256,
    feedbacks: Sequence[str] = ("rater", "truth"),
    progress: Callable[[str], None] = lambda said: None,
) -> AgentsReport:
    """Trains an agent on each feedback with each seed and evaluates all on the whole test split.

    Args:
        name: The environment.
        algo: "ppo", "a2c" or "dqn".
        seeds: One training a seed and feedback.
        steps: Environment steps of a training.
        num_envs: Rows.
        feedbacks: The feedback in question first, ``"truth"`` last.
        progress: Told what is being done.

    Raises:
        ValueError: The environment is unknown.
    """
    if name not in CONFIGURATIONS:
        raise ValueError(one_of("id", name, CONFIGURATIONS))
    calibration = Calibration()
    reached: dict[str, list[float]] = {feedback: [] for feedback in feedbacks}
    # Seed by seed, so that a machine that slows down does so for both sides.
    for seed in seeds:
        for feedback in feedbacks:
            calibration.measure()
            progress(f"{name}, trained on {feedback}, seed {seed}")
            reached[feedback].append(_train_and_evaluate(name, algo, feedback, seed, steps, num_envs))
    shares = np.array(reached[feedbacks[0]]) / np.array(reached[feedbacks[-1]])
    return AgentsReport(
        name,
        algo,
        steps,
        len(_test_items(name)),
        tuple(Runs(feedback, tuple(values)) for feedback, values in reached.items()),
        Estimate.of(shares),
        describe(),
        tuple(calibration.reasons()),
    )


def bench(options: Options, progress: Callable[[str], None]) -> AgentsReport:
    """``mm-envs bench agents``: see ``agents``."""
    quick: dict[str, Any] = {"seeds": range(2), "steps": 4096} if options.quick else {}
    return agents(progress=progress, **quick)


def _test_items(name: str) -> range:
    return gym.make_vec(name, num_envs=1).unwrapped.task.dataset.range("test")  # type: ignore[attr-defined,no-any-return]


def _train_and_evaluate(name: str, algo: str, feedback: str, seed: int, steps: int, num_envs: int) -> float:
    from agents.learning import learn
    from agents.trainers import make_trainer

    trainer = make_trainer(algo, gym.make_vec(name, num_envs=num_envs, feedback=feedback), seed=seed)
    learn(trainer, steps)
    items = torch.tensor(_test_items(name))
    envs = gym.make_vec(name, num_envs=len(items), split="test", feedback="truth")
    return evaluate(trainer.policy(), envs, items=items).mean_utility.value
