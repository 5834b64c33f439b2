"""B-Pref's six teachers, and which pairs to ask them about (Lee et al., 2021, arXiv 2111.03026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.experiments.policies import trained_policy
from benchmarks.experiments.statistics import difference_interval
from benchmarks.experiments.teachers.heads import Recipe
from benchmarks.experiments.teachers.runs import Arm, Regime
from benchmarks.experiments.teachers.trunk import Trunk
from benchmarks.report import Table
from feedback.active_learning import Plan, draw_pairs, seed_of
from feedback.annotators import TEACHERS
from feedback.queries import QUERIES as ALL_QUERIES
from feedback.responses import Edits, PolicySamples, RightAndWrong, Sampler
from mm_envs.statistics import Interval, mean_interval

# Sizes and features were chosen on seeds 0 to 5.
FIRST_SEED = 100
QUERIES = ("uniform", "disagreement", "entropy")
FLIPS = "25 % flips"
EDITS, SAMPLES, ANSWERS = "edited captions", "sampled captions", "answers to questions"
_IDS = {EDITS: "MMCaption-v0", SAMPLES: "MMCaption-v0", ANSWERS: "MMVQA-v0"}


def teacher_arms() -> list[Arm]:
    """The six teachers with the compared queries."""
    return [Arm(teacher, query, teacher) for teacher in TEACHERS for query in QUERIES]


def caption_arms() -> list[Arm]:
    """The teachers, all other queries on the oracle, and an ensemble of five under many flips."""
    others = [Arm("oracle", query, "oracle") for query in ALL_QUERIES if query not in QUERIES]
    flips = Arm(FLIPS, "uniform", "mistake", {"mistakes": 0.25}, members=5)
    # An upper bound for these features: where it is close to the oracle, no query can gain much.
    many = Arm("oracle, ten times the labels", "uniform", "oracle", labels=10)
    return [*teacher_arms(), *others, flips, many]


def answer_arms() -> list[Arm]:
    """Oracle and mistake teacher."""
    return [Arm(teacher, query, teacher) for teacher in ("oracle", "mistake") for query in QUERIES]


@lru_cache(maxsize=3)
def regime(
    name: str, epochs: int, items: int | None, features: int, budget: int, iterations: int, held_out: int
) -> Regime:
    """The source of answers of a name, with a policy whose features reward models are fitted on."""
    task, policy = trained_policy(_IDS[name], epochs, items, features)
    sampler: Sampler
    if name == EDITS:
        sampler = Edits(task)
    else:
        samples = PolicySamples(policy, 1.0, "the trained policy")
        sampler = samples if name == SAMPLES else RightAndWrong(task)
    trunk = Trunk.of(policy, draw_pairs(task, sampler, held_out, "train", seed_of(0, "scale")))
    return Regime(task, sampler, trunk, Plan(budget=budget, rounds=iterations), held_out, Recipe())


def collections(
    context: Context,
    seed: int,
    answers: str,
    epochs: Mapping[str, int],
    items: int | None,
    features: int,
    budget: int,
    iterations: int,
    held_out: int,
) -> list[dict[str, Any]]:
    """All arms of one seed: the same candidates, first round and held-out pairs.

    Args:
        context: Not used.
        seed: Of candidates, choices, annotators and weights.
        answers: Their source.
        epochs: Of the training of the policy, by source of answers.
        items: Training items of the policy; None for all.
        features: Numbers per context of the policy.
        budget: Queries.
        iterations: Rounds of queries.
        held_out: Held-out pairs that are drawn.

    Returns:
        A list by arm: accuracy of the mean of the ensemble with its interval, the accuracy after each round,
        of single members, and the rates of ties and skips.
    """
    source = regime(answers, epochs[answers], items, features, budget, iterations, held_out)
    return source.runs(caption_arms() if answers == EDITS else answer_arms(), seed)


class Runs:
    """All runs of one source of answers, seed by seed.

    Args:
        findings: The results of its seeds.
    """

    def __init__(self, findings: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        self.arms: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for run in (run for seed in findings for run in seed):
            self.arms.setdefault((run["teacher"], run["query"]), []).append(run)
        self.first = findings[0][0]

    def values(self, teacher: str, query: str, name: str = "accuracy") -> Any:
        """A number of every seed."""
        return np.array([run[name] for run in self.arms[teacher, query]])

    def gain(self, query: str) -> Interval:
        """How much more accurate a query is than uniform: the mean over the six teachers, seed by seed."""
        better, uniform = (
            np.mean([self.values(one, name) for one in TEACHERS], 0) for name in (query, "uniform")
        )
        return difference_interval(better, uniform)


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Comparisons on edited captions, and accuracies and curves of every source of answers."""
    by_source: dict[str, list[Any]] = {}
    for one in findings["collections"]:
        by_source.setdefault(one.cell.arguments["answers"], []).append(one.result)
    runs = {name: Runs(results) for name, results in by_source.items()}
    return [compared(runs[EDITS]), *map(accuracies, runs.values()), *map(curves, runs.values())]


def compared(runs: Runs) -> Table:
    """Differences on edited captions."""
    seeds = str(len(runs.values("oracle", "uniform")))
    mistake = difference_interval(runs.values("mistake", "uniform"), runs.values("oracle", "uniform"))
    ensemble = difference_interval(runs.values(FLIPS, "uniform"), runs.values(FLIPS, "uniform", "single"))
    found = [("mistake teacher, uniform", mistake, "oracle, uniform")]
    found += [(f"{query}, mean of six teachers", runs.gain(query), "uniform") for query in QUERIES[1:]]
    found.append((f"mean of the ensemble, {FLIPS}", ensemble, "its single members"))
    rows = [(name, gap.format("+.1f", 100), seeds, other) for name, gap, other in found]
    return Table(
        "Differences in held-out accuracy, points", ("", "difference [95 %]", "seeds", "compared with"), rows
    )


def accuracies(runs: Runs) -> Table:
    """Held-out accuracy by teacher and query."""
    queries = list(dict.fromkeys(query for _, query in runs.arms))
    rows = []
    for name in dict.fromkeys(teacher for teacher, _ in runs.arms):
        cells = [
            str(mean_interval(runs.values(name, query))) if (name, query) in runs.arms else ""
            for query in queries
        ]
        rates = [f"{runs.values(name, 'uniform', rate).mean():.1%}" for rate in ("ties", "skips")]
        rows.append((name, str(len(runs.values(name, "uniform"))), *cells, *rates))
    first = runs.first
    title = f"Held-out accuracy [95 %], {first['sampler']}; {first['tie_rate']:.1%} of pairs, ties, left out"
    return Table(title, ("teacher", "seeds", *queries, "ties", "skips"), rows)


def curves(runs: Runs) -> Table:
    """The accuracy after each round, of the oracle and of the mistake teacher."""
    rows = []
    for name in ("oracle", "mistake"):
        for query in QUERIES:
            curve = runs.values(name, query, "curve").mean(0)
            rows.append((name, query, *(f"{value:.3f}" for value in curve)))
    heads = ("teacher", "query", *(f"round {number}" for number in range(1, len(runs.first["curve"]) + 1)))
    return Table(f"Mean accuracy after each round, {runs.first['sampler']}", heads, rows)


_PLAN = Plan()

EXPERIMENT = Experiment(
    "Teachers, queries and ensembles",
    "A policy is trained once on references and frozen. Ensembles of small reward models are fitted on its "
    "features of answers after the recipe of B-Pref: 180 queries in six rounds out of ten times as many "
    "candidates, three members, trained on all labels. All teachers and queries of a seed have the same "
    "candidates, first round and held-out pairs, so differences are taken seed by seed; intervals are "
    "Student's t over seeds.",
    (
        Grid(
            collections,
            {
                "epochs": {EDITS: 32, SAMPLES: 32, ANSWERS: 8},
                "items": None,
                "features": 128,
                "budget": _PLAN.budget,
                "iterations": _PLAN.rounds,
                "held_out": 1500,
            },
            {"answers": (EDITS, SAMPLES, ANSWERS)},
            range(FIRST_SEED, FIRST_SEED + 8),
            quick={
                "epochs": {EDITS: 1, SAMPLES: 1, ANSWERS: 1},
                "items": 64,
                "features": 16,
                "budget": 12,
                "iterations": 2,
                "held_out": 40,
            },
        ),
    ),
    tables,
)
