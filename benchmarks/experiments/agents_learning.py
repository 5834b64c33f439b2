"""What the default settings of every environment learn, in which time, and what limits it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.on_policy_settings import OnPolicySettings
from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.held_out import Training, trained_agent, tuned_agent
from benchmarks.experiments.sets.spoken_digits import KNOWN, NEVER_HEARD, Recipe
from benchmarks.experiments.statistics import interquartile_text as middle
from benchmarks.experiments.three_modalities import prepared
from benchmarks.report import Table
from benchmarks.scores import Scores, held_out, utilities
from mm_envs.tasks import CONFIGURATIONS
from mm_envs.tasks.task import Task
from mm_envs.tasks.vqa import VQA

RATER, TRUTH = "annotator", "truth"
# Recipes for three modalities were chosen on other draws of pictures, pairs and noise.
_DIGITS = OnPolicySettings(enumerate=True, normalisation="mean", entropy=0.0, learning_rate=3e-3, shift=2)
_DIGITS_STEPS, _DIGITS_ROWS = 2_000_000, 64


def learned(
    context: Context, seed: int, id: str, algo: str, feedback: str, share: float = 1.0
) -> dict[str, Any]:
    """Trains an agent with its tuned settings, and scores it on every test item.

    Args:
        context: Not used.
        seed: Of the agent and its episodes.
        id: The environment.
        algo: A name of ``agents.trainers.TRAINERS``.
        feedback: The source of the reward in training.
        share: Of the tuned number of steps.

    Returns:
        "score" and "kinds", that of each kind of question; "utility", "blind", "oracle"; "exact", the share
        of answers without a fault; "seconds" of processor time of the training; "steps", "items".
    """
    trainer, task, seconds = tuned_agent(id, algo, feedback, seed, share)
    return {**_scored(task, held_out(task, trainer.policy())), "seconds": seconds, "steps": trainer.step}


def _scored(task: Task, found: Scores) -> dict[str, Any]:
    means = {name: float(getattr(found, name).mean()) for name in ("utility", "blind", "oracle")}
    kinds = {}
    if isinstance(task, VQA) and task.item_kind is not None:
        kind = task.batch(found.items, [task.item_kind])[task.item_kind].numpy()
        kinds = {task.item_kinds[i]: found.score(kind == i) for i in np.unique(kind).tolist()}
    return {
        **means,
        "score": found.score(),
        "exact": found.exact(),
        "kinds": kinds,
        "items": len(found.items),
    }


def three_modalities(context: Context, seed: int, steps: int, training: int, test: int) -> dict[str, Any]:
    """Trains an agent on digits that are written, spoken and called odd or even, by the default feedback.

    Args:
        context: Names the folders of pictures and speech.
        seed: Of the agent.
        steps: Answers.
        training: Training items.
        test: Test items, each with a known speaker and with one that is never heard in training.

    Returns:
        The accuracy by set of test items; "seconds" of processor time of the training; "steps".
    """
    dataset, rows = prepared(context, Recipe(training=training, test=test, seed=2))
    plan = Training(steps, _DIGITS_ROWS, seed, _DIGITS, "rloo")
    start = time.process_time()
    trainer, task = trained_agent("MMClassify-v0", dataset, plan)
    seconds = time.process_time() - start
    right = utilities(task, trainer.policy())
    sets = np.array([row["set"] for row in rows])
    accuracy = {name: float(right[sets == name].mean()) for name in (KNOWN, NEVER_HEARD)}
    return {"accuracy": accuracy, "seconds": seconds, "steps": steps}


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Scores from rewards, kinds of questions, three modalities, and scores from references."""
    from_rewards = [one for one in findings["learned"] if one.cell.arguments["algo"] != "sft"]
    from_references = [one for one in findings["learned"] if one.cell.arguments["algo"] == "sft"]
    several = [
        score_table("Learned from rewards", from_rewards),
        kind_table(from_rewards),
        digits_table(findings.get("three_modalities", [])),
        score_table("The same networks, learned from references (--algo sft)", from_references),
    ]
    return [one for one in several if one.rows]


def notes(findings: Mapping[str, list[Finding]]) -> list[str]:
    """What is not measured with all seeds yet."""
    from_rewards = [one for one in findings["learned"] if one.cell.arguments["algo"] != "sft"]
    fewer = min(len(results) for results in _grouped(from_rewards).values()) < _SEEDS
    return [f"Rows with fewer than {_SEEDS} seeds: the others are not measured yet."] if fewer else []


def score_table(title: str, findings: Sequence[Finding]) -> Table:
    """A row for each environment and feedback."""
    rows = []
    for (id, feedback), results in _grouped(findings).items():
        score, exact = (middle([one[name] for one in results]) for name in ("score", "exact"))
        utility, blind = (np.mean([one[name] for one in results]) for name in ("utility", "blind"))
        rows.append(
            (
                *(id, feedback, score, exact, f"{utility:.3f}", f"{blind:.3f}"),
                *(str(len(results)), _cost(results), f"{results[0]['items']:,}"),
            )
        )
    columns = (
        *("environment", "feedback", "score [95 %]", "without a fault [95 %]", "utility", "blind"),
        *("seeds", "processor time, answers", "test items"),
    )
    return Table(f"{title}: (utility - blind) / (oracle - blind)", columns, rows)


def kind_table(findings: Sequence[Finding]) -> Table:
    """The score of each kind of question."""
    rows = []
    for (id, feedback), results in _grouped(findings).items():
        kinds = results[0]["kinds"]
        rows += [
            (
                f"{id}, {feedback}",
                kind,
                middle([one["kinds"][kind] for one in results]),
                str(len(results)),
            )
            for kind in kinds
        ]
    return Table("Kinds of questions", ("environment, feedback", "kind", "score [95 %]", "seeds"), rows)


def digits_table(findings: Sequence[Finding]) -> Table:
    """The accuracy with each set of speakers."""
    results = [one.result for one in findings]
    rows = [
        (
            name,
            middle([one["accuracy"][name] for one in results]),
            str(len(results)),
            _cost(results),
        )
        for name in (results[0]["accuracy"] if results else ())
    ]
    title = "Digits written, spoken and called odd or even, default feedback"
    return Table(title, ("test items", "accuracy [95 %]", "seeds", "processor time, answers"), rows)


def _grouped(findings: Sequence[Finding]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in findings:
        given = one.cell.arguments
        found.setdefault((given["id"], given["feedback"]), []).append(one.result)
    return found


def _cost(results: Sequence[Mapping[str, Any]]) -> str:
    seconds = np.median([one["seconds"] for one in results])
    return f"{seconds:,.0f} s, {results[0]['steps']:,}"


_IDS, _SEEDS = tuple(CONFIGURATIONS), 5
_SIZE = Recipe()

EXPERIMENT = Experiment(
    "What agents learn",
    "Agents of `mm-envs train ID` with the settings of `agents/tuned.py`, which were chosen on validation "
    "items; scores are of all test items. A score of 0 is that of the best answers that ignore pictures and "
    "sounds, 1 that of the right answers; drawn boxes are never without a fault. Numbers are interquartile "
    "means over seeds with percentile "
    "bootstrap intervals. Times are processor time of one thread, with rendering, without evaluation.",
    (
        Grid(
            learned,
            {"algo": "rloo"},
            {"id": _IDS, "feedback": (RATER,)},
            range(_SEEDS),
            quick={"id": "MMClassify-digits-v0", "share": 0.002},
        ),
        Grid(
            learned,
            {"algo": "rloo"},
            {
                "id": ("MMVQA-v0", "MMCaption-v0", "MMCaption-sound-v0", "MMCaption-many-v0"),
                "feedback": (TRUTH,),
            },
            range(_SEEDS),
            quick={"id": "MMVQA-v0", "share": 0.002},
        ),
        Grid(
            three_modalities,
            {"steps": _DIGITS_STEPS, "training": _SIZE.training, "test": _SIZE.test},
            seeds=range(_SEEDS),
            quick={"steps": 1_000, "training": 256, "test": 32},
        ),
        Grid(
            learned,
            {"algo": "sft"},
            {"id": _IDS, "feedback": (TRUTH,)},
            range(1),
            quick={"id": "MMClassify-digits-v0", "share": 0.002},
        ),
    ),
    tables,
    notes,
)
