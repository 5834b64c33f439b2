"""Agents trained on imperfect feedback against agents trained on the truth, over several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.report import Table
from benchmarks.scores import utilities
from mm_envs.statistics import mean_interval

FEEDBACKS = ("annotator", "truth")


def trained(
    context: Context, seed: int, id: str, algo: str, feedback: str, steps: int, num_envs: int
) -> dict[str, Any]:
    """Trains an agent and shows it every item of the test split once.

    Args:
        context: Not used.
        seed: Of the agent and its episodes.
        id: The environment.
        algo: A name of ``agents.trainers.TRAINERS``.
        feedback: The source of the reward in training.
        steps: Environment steps of the training.
        num_envs: Rows.

    Returns:
        "utility": the mean over the test items; "items": their number.
    """
    from agents.learning import learn
    from agents.trainers import make_trainer

    envs: Any = gym.make_vec(id, num_envs=num_envs, feedback=feedback)
    trainer = make_trainer(algo, envs, seed=seed)
    learn(trainer, steps)
    found = utilities(envs.unwrapped.task, trainer.policy())
    return {"utility": float(found.mean()), "items": len(found)}


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Held-out utility by feedback, and its quotient seed by seed."""
    utility: dict[str, list[float]] = {}
    for one in findings["trained"]:
        utility.setdefault(one.cell.arguments["feedback"], []).append(one.result["utility"])
    rows = [
        (f"trained on {name}", str(mean_interval(values)), str(len(values)), "")
        for name, values in utility.items()
    ]
    first, truth = (np.array(utility[name]) for name in FEEDBACKS)
    rows.append(("quotient, seed by seed", str(mean_interval(first / truth)), str(len(truth)), "truth"))
    given, items = findings["trained"][0].cell.arguments, findings["trained"][0].result["items"]
    title = f"{given['algo'].upper()} on {given['id']}, {given['steps']:,} steps, {items} held-out items"
    return [Table(title, ("", "mean utility [95 %]", "seeds", "compared with"), rows)]


EXPERIMENT = Experiment(
    "Agents on imperfect feedback",
    "Agents trained on the default feedback, a simulated annotator, and on the truth: the true utility that "
    "both reach on held-out items. Intervals are Student's t over seeds.",
    (
        Grid(
            trained,
            {"id": "MMClassify-digits-v0", "algo": "rloo", "steps": 80_000, "num_envs": 64},
            {"feedback": FEEDBACKS},
            range(5),
            quick={"steps": 512, "num_envs": 64},
        ),
    ),
    tables,
)
