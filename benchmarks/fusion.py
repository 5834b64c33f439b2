"""Fusions compared: the same supervised training of each on several tasks and seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from agents.acting import AnsweringPolicy
from agents.examples import Examples
from agents.fusion import FUSIONS
from agents.policy import ResponsePolicy
from agents.sft import sft
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.report import Table
from benchmarks.scores import held_out
from mm_envs.names import at_least, check_one_of
from mm_envs.statistics import mean_interval
from mm_envs.tasks.task import Task

# Picture and question; picture and words to write; picture, sound and text; picture, sound and question.
IDS = ("MMVQA-v0", "MMCaption-v0", "MMClassify-sound-v0", "MMVQA-sound-v0")
_BLOCK, _WARM = 256, 16


def learned(
    context: Context, seed: int, id: str, fusion: str, steps: int, items: int, features: int, test: int
) -> dict[str, Any]:
    """Trains a policy with one fusion on good answers, and scores it on test items.

    Args:
        context: Not used.
        seed: Of weights and order.
        id: The environment.
        fusion: The name of a fusion.
        steps: Training items that are learned from, with repetition: whole epochs, at least one.
        items: Different training items, at most.
        features: Numbers per context and per hidden state.
        test: Test items, at most.

    Returns:
        "score", the utility above that of the blind policy as a share of what the oracle adds; "utility",
        "blind" and "oracle"; "rate", items a second; "parameters"; "steps" and "items" as they were.
    """
    check_one_of("fusion", fusion, FUSIONS)
    at_least("steps", steps, 1)
    made: Any = gym.make_vec(id, num_envs=1)
    task: Task = made.unwrapped.task
    examples = Examples(task, min(items, steps), seed=seed)
    for start in range(0, len(examples), _BLOCK):
        # Items are rendered once, before the clock starts, and kept while ``examples`` lives.
        examples.batch(start, _BLOCK)
    # Nor does the clock count what torch loads when it trains for the first time.
    sft(task, ResponsePolicy(task, features, features, seed, fusion), epochs=1, items=_WARM)
    policy = ResponsePolicy(task, features, features, seed, fusion)
    epochs = max(1, round(steps / len(examples)))
    start_time = time.perf_counter()
    sft(task, policy, epochs=epochs, items=len(examples), learning_rate=2e-3, seed=seed)
    seconds = time.perf_counter() - start_time
    scores = held_out(task, AnsweringPolicy(policy, task), test)
    return {
        **{name: float(getattr(scores, name).mean()) for name in ("utility", "blind", "oracle")},
        "score": scores.score(),
        "rate": epochs * len(examples) / seconds,
        "parameters": sum(one.numel() for one in policy.parameters()),
        "steps": epochs * len(examples),
        "items": len(scores.items),
    }


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """A table for each environment, a row for each fusion, means over seeds."""
    by_id: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for one in findings["learned"]:
        given = one.cell.arguments
        by_id.setdefault(given["id"], {}).setdefault(given["fusion"], []).append(one.result)
    return [table(id, by_fusion) for id, by_fusion in by_id.items()]


def table(id: str, by_fusion: Mapping[str, list[dict[str, Any]]]) -> Table:
    """The table of one environment, the best fusion first."""
    rows = []
    for fusion, results in by_fusion.items():
        score = mean_interval([one["score"] for one in results])
        rate = mean_interval([one["rate"] for one in results]).value
        parameters = f"{results[0]['parameters']:,}"
        rows.append((score.value, (fusion, str(score), str(len(results)), f"{rate:,.0f}", parameters)))
    rows.sort(key=lambda row: row[0], reverse=True)
    first = next(iter(by_fusion.values()))[0]
    title = (
        f"{id}, {first['steps']:,} items learned from, {first['items']:,} test items: "
        f"(utility - blind) / (oracle - blind), blind {first['blind']:.3f}, oracle {first['oracle']:.3f}"
    )
    columns = ("fusion", "score [95 %]", "seeds", "samples a second", "parameters")
    return Table(title, columns, [row for _, row in rows])


EXPERIMENT = Experiment(
    "Fusions",
    "Policies with one fusion each, trained by `agents.sft` on good answers to the same training items in "
    "the same number of steps. A score of 0 is that of the best answers that ignore pictures and sounds, 1 "
    "that of the right answers. Intervals are Student's t over seeds; speeds do not include rendering.",
    (
        Grid(
            learned,
            {"steps": 8192, "items": 4096, "features": 64, "test": 1024},
            {"id": IDS, "fusion": tuple(FUSIONS)},
            range(2),
            quick={"id": IDS[0], "steps": 64, "items": 64, "test": 64, "features": 16},
        ),
    ),
    tables,
)
