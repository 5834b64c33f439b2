"""Trained agents made smaller and explained: what each method costs, and what agents look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from agents.agent_folder import save
from agents.compression.compress import CompressSettings, compress
from agents.compression.distil import DistilSettings
from agents.explaining.report import explain
from agents.policy_folder import load_policy
from agents.run_folder import Setting
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.held_out import tuned_agent
from benchmarks.experiments.statistics import interquartile_text as middle
from benchmarks.report import Table

_SIZES = ("1", "256")


def examined(
    context: Context, seed: int, id: str, share: float, episodes: int, finetune: int, distil: int
) -> dict[str, Any]:
    """Trains an agent on the truth with its tuned settings, makes it smaller and explains it.

    Args:
        context: Progress.
        seed: Of the agent and of the items.
        id: The environment.
        share: Of the tuned number of steps.
        episodes: Test items.
        finetune: Contexts that a pruned policy learns from.
        distil: Contexts that a distilled policy learns from.

    Returns:
        "policies": what each of them costs and reaches, see ``agents.compression.measure.Measured``;
        "skipped" methods; "explanation", see ``agents.explaining.report.Explanation``.
    """
    trainer, task, _ = tuned_agent(id, "rloo", "truth", seed, share)
    about = CompressSettings(finetune=finetune, seed=seed, distil=DistilSettings(steps=distil))
    items = torch.tensor(task.dataset.range("test"))
    items = items[torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))[:episodes]]
    with TemporaryDirectory() as folder:
        agent = save(trainer, Path(folder) / "agent")
        setting = Setting(id, {"feedback": "truth"}, agent)
        small = compress(setting, Path(folder) / "small", "all", about, episodes).to_dict()
        explanation = explain(load_policy(agent, task), task, items, examples=0)
    for one in small["policies"]:
        del one["folder"]
    return {**small, "explanation": explanation.to_dict()}


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Small models, Shapley values and attention."""
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for one in findings["examined"]:
        by_id.setdefault(one.cell.arguments["id"], []).append(one.result)
    return [small_table(by_id), shapley_table(by_id), attention_table(by_id)]


def small_table(by_id: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """A row for each environment and method."""
    rows = []
    for id, results in by_id.items():
        for index, first in enumerate(results[0]["policies"]):
            several = [one["policies"][index] for one in results]
            speeds = [
                np.mean(
                    [
                        one["policies"][0]["latency_ms"][size] / mine["latency_ms"][size]
                        for one, mine in zip(results, several, strict=True)
                    ]
                )
                for size in _SIZES
            ]
            utility, same = (
                middle([one["utility"]["mean"] for one in several]),
                np.mean([one["same_answers"] for one in several]),
            )
            rows.append(
                (
                    *(id, first["how"], f"{first['nonzero']:,}", f"{first['bytes'] / 1000:,.0f}"),
                    *(f"{speed:.2f}" for speed in speeds),
                    *(utility, f"{same:.3f}", str(len(several))),
                )
            )
    columns = (
        *("environment", "policy", "parameters not 0", "kB", "times faster, 1 at once", "256 at once"),
        *("utility [95 %]", "same answers", "seeds"),
    )
    return Table("Small models: true utility on test items", columns, rows)


def shapley_table(by_id: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """The share of each modality in the utility."""
    rows = []
    for id, results in by_id.items():
        several = [one["explanation"]["shapley"]["utility"]["shapley"] for one in results]
        for key in several[0]:
            rows.append((id, key, middle([one[key]["mean"] for one in several]), str(len(several))))
    return Table(
        "Shapley values of modalities for the utility",
        ("environment", "modality", "value [95 %]", "seeds"),
        rows,
    )


def attention_table(by_id: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """The attention of words on the objects that they name."""
    rows = []
    for id, results in by_id.items():
        several = [one["explanation"]["grounding"] for one in results]
        if None not in several:
            share, chance = (middle([one[name] for one in several]) for name in ("share", "chance"))
            times = middle([one["times_chance"] for one in several])
            rows.append((id, share, chance, times, str(len(several))))
    columns = ("environment", "share of attention [95 %]", "chance [95 %]", "times chance [95 %]", "seeds")
    return Table("Attention of words to the object that they name", columns, rows)


EXPERIMENT = Experiment(
    "Agents made smaller and explained",
    "Agents of `mm-envs train ID --feedback truth`, then `mm-envs compress --how all --finetune 20000` and "
    "`mm-envs explain`. Half of the weights are pruned, a distilled policy has a quarter of the parameters, "
    "graphs for onnxruntime are checked to 1e-4 when they are written. Shapley values are exact, with "
    "modalities masked. Attention is that of question words in `word_patch`, where they name an object, and "
    "chance is the share of the picture that the object covers. Interquartile means over seeds with "
    "percentile bootstrap intervals.",
    (
        Grid(
            examined,
            {"share": 1.0, "episodes": 1000, "finetune": 20_000, "distil": 60_000},
            {"id": ("MMVQA-v0", "MMVQA-sound-v0", "MMCaption-v0")},
            range(3),
            quick={"id": "MMVQA-v0", "share": 0.001, "episodes": 64, "finetune": 64, "distil": 64},
        ),
    ),
    tables,
)
