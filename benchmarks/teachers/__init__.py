"""``mm-envs bench teachers``: B-Pref's six teachers, and which pairs to ask them about.

A captioning policy is fine-tuned once and frozen. Ensembles of small reward models read what it makes of
captions, after the recipe of B-Pref (Lee et al., 2021, arXiv 2111.03026): 180 queries in six rounds out of
ten times as many candidates, three members, trained on all labels. Unlike B-Pref's they are trained past 97 %
of the labels (see ``benchmarks.teachers.heads.Recipe``); sizes and features were chosen on seeds 0 to 5, and
are measured on others. All teachers and queries of a seed have the same candidates, the same first round and
the same held-out pairs, so differences are taken seed by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from agents.policy import ResponsePolicy
from agents.sft import sft
from benchmarks.reports import Options, Report
from benchmarks.teachers.heads import Recipe
from benchmarks.teachers.report import FLIPS, QUERIES, Findings, report
from benchmarks.teachers.runs import Cell, Regime, Run, exactly_one_right
from benchmarks.teachers.trunk import Trunk
from feedback.annotators import TEACHERS
from feedback.candidates import Edits, PolicySamples, RightAndWrong, Sampler
from feedback.queries import QUERIES as ALL_QUERIES
from feedback.rounds import Plan, draw_pairs, seed_of
from mm_envs.tasks.task import Task

FIRST_SEED = 100
CAPTIONS, QUESTIONS = "MMCaption-v0", "MMVQA-v0"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        epochs: Of the fine-tuning of the captioning policy.
        answer_epochs: Of that of the policy that answers questions.
        items: On how many items they are fine-tuned; None for all.
        features: Numbers per context of both.
        seeds: Collections of each kind.
        plan: Budget, rounds and pool.
        held_out: Held-out pairs that are drawn.
    """

    epochs: int = 32
    answer_epochs: int = 8
    items: int | None = None
    features: int = 128
    seeds: int = 8
    plan: Plan = field(default_factory=Plan)
    held_out: int = 1500


QUICK = Size(1, 1, 64, 16, 2, Plan(budget=12, rounds=2, pool=2), 40)


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """``mm-envs bench teachers``: teachers and queries on captions, and on questions.

    Args:
        options: With ``quick``, two seeds of a dozen queries.
        progress: Told what is being done.
    """
    size = QUICK if options.quick else Size()
    progress("fine-tuning a policy of captions")
    task = _task(CAPTIONS)
    policy = sft(task, epochs=size.epochs, items=size.items, features=size.features)
    edits = measure(task, Edits(task), policy, caption_cells(), size, progress)
    samples = PolicySamples(policy, 1.0, "the fine-tuned policy")
    sampled = measure(task, samples, policy, answer_cells(), size, progress)
    progress("fine-tuning a policy of answers")
    questions = _task(QUESTIONS)
    answering = sft(questions, epochs=size.answer_epochs, items=size.items, features=size.features)
    sampler = RightAndWrong(questions)
    answered = measure(questions, sampler, answering, answer_cells(), size, progress)
    pairs = draw_pairs(questions, sampler, size.held_out, "test", seed_of(0, "held out"))
    return report(edits, [sampled], answered, exactly_one_right(questions, pairs))


def teacher_cells() -> list[Cell]:
    """The six teachers with the queries of the bars."""
    return [Cell(teacher, query, teacher) for teacher in TEACHERS for query in QUERIES]


def caption_cells() -> list[Cell]:
    """The teachers, all other queries on the oracle, and an ensemble of five under many flips."""
    others = [Cell("oracle", query, "oracle") for query in ALL_QUERIES if query not in QUERIES]
    flips = Cell(FLIPS, "uniform", "mistake", {"mistakes": 0.25}, members=5)
    # What these features can tell: where it is close to the oracle's accuracy, no query can gain much.
    many = Cell("oracle, ten times the labels", "uniform", "oracle", labels=10)
    return [*teacher_cells(), *others, flips, many]


def answer_cells() -> list[Cell]:
    """Oracle and mistake teacher: what is shown without a bar on it."""
    return [Cell(teacher, query, teacher) for teacher in ("oracle", "mistake") for query in QUERIES]


def measure(
    task: Task,
    sampler: Sampler,
    policy: ResponsePolicy,
    cells: Sequence[Cell],
    size: Size,
    progress: Callable[[str], None],
) -> Findings:
    """All cells for all seeds.

    Args:
        task: The task.
        sampler: Answers its questions.
        policy: Frozen; what it makes of answers is what reward models read.
        cells: What is compared.
        size: How much.
        progress: Told the seeds.
    """
    policy.eval().requires_grad_(False)
    scale = draw_pairs(task, sampler, size.held_out, "train", seed_of(0, "scale"))
    regime = Regime(task, sampler, Trunk.of(policy, scale), size.plan, size.held_out, Recipe())
    runs: list[Run] = []
    for number in range(size.seeds):
        progress(f"{sampler.name}: seed {number + 1} of {size.seeds}")
        runs += regime.runs(cells, FIRST_SEED + number)
    return Findings(runs)


def _task(name: str) -> Task:
    envs: Any = gym.make_vec(name, num_envs=1).unwrapped
    task: Task = envs.task
    return task
