"""Dawid-Skene beside the majority: several votes of the same crowd on each pair of captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.label_efficiency.runs import CROWD, correlation
from feedback.aggregation import DawidSkene, Votes, krippendorff_alpha, majority
from feedback.annotators import make_pool
from feedback.candidates import Sampler
from feedback.rounds import ask, draw_pairs, seed_of
from mm_envs.feedback_sources import true_utility
from mm_envs.tasks import Task


@dataclass(frozen=True)
class Crowd:
    """What was found with one seed.

    Attributes:
        majority: How often the majority is right; ties are broken by a fair draw.
        dawid_skene: How often Dawid-Skene is right.
        correlation: Of the skill that Dawid-Skene found with the truth.
        alpha: Krippendorff's, nominal.
    """

    majority: float
    dawid_skene: float
    correlation: float
    alpha: float


def aggregate(task: Task, sampler: Sampler, pairs: int, votes: int, seed: int) -> Crowd:
    """One seed.

    Args:
        task: The task.
        sampler: Where the answers come from.
        pairs: How many questions; pairs of equal utility have no right choice and are left out.
        votes: How many members of the crowd vote on each pair.
        seed: Decides questions, answers and crowd.
    """
    drawn = draw_pairs(task, sampler, pairs, "test", seed_of(seed, "crowd"))
    first, second = (true_utility(task, drawn.episodes(side)).reward for side in (0, 1))
    drawn, truth = drawn.take(first != second), (first < second).long()[first != second]
    pool = make_pool(CROWD, task, votes=votes, seed=seed)
    asked = ask(pool, drawn, 0, torch.arange(len(drawn)))
    item = torch.arange(len(drawn)).repeat_interleave(votes)
    said = Votes(item, asked.annotator.flatten(), asked.choice.flatten(), len(drawn), len(pool), 2)
    model = DawidSkene().fit(said)
    skill = pool.skill(task, drawn.episodes(0), drawn.episodes(1))
    return Crowd(
        majority(said).accuracy(truth),
        float((model.predict(said) == truth).double().mean()),
        correlation(model.skill.tolist(), skill.tolist()),
        krippendorff_alpha(item, said.label),
    )
