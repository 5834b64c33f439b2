"""Speed of reward models: how many captions a second an ensemble scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.experiment import Context, Experiment, Finding, Grid
from benchmarks.report import Table
from benchmarks.sides import Side, speed_table, take_turns
from feedback.collection import draw_prompts
from feedback.preferences.batches import FIRST, SECOND, TIE, Answers, Labelled, Pairs
from feedback.responses import Edits
from feedback.reward_models import Ensemble, ModelConfig, RewardModel
from mm_envs.statistics import ratio_of_medians
from mm_envs.tasks.task import Task

MEMBERS = 5
READERS = {"encoder": "sequence-level answer encoder", "decoder": "token-level answer encoder"}
# Pairs of (side, compared side), positions in ``scoring_sides``.
_COMPARED = ((0, 1), (2, 4), (3, 4))


@dataclass(frozen=True)
class PairSet:
    """Pairs of captions of MMCaption-v0, labelled by their true utility.

    Attributes:
        task: The task.
        labelled: Answers and pairs, as reward models take them.
        group: Answers to a picture; every two of them are a pair.
    """

    task: Task
    labelled: Labelled
    group: int

    def __len__(self) -> int:
        return len(self.labelled.pairs)

    @property
    def pairs_per_picture(self) -> int:
        """Pairs that share a picture."""
        return self.group * (self.group - 1) // 2


def caption_pairs(pictures: int, group: int, seed: int = 0) -> PairSet:
    """References with up to four edits, and every pair of those to one picture.

    Args:
        pictures: The number of pictures.
        group: Answers to each.
        seed: Decides pictures and edits.
    """
    _, tickets = draw_prompts("MMCaption-v0", 1)
    items = torch.tensor(tickets.task.dataset.range("train"))
    drawn = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))[:pictures]
    prompts, tickets = draw_prompts("MMCaption-v0", pictures, about=items[drawn])
    task = tickets.task
    response, length = Edits(task).sample(prompts, group, seed)
    assert length is not None
    answers = Answers.of(prompts.context, response, length)
    reference = {name: value.repeat_interleave(group, 0) for name, value in prompts.reference.items()}
    utility = task.utility(answers.response, answers.length, reference).reward.view(pictures, group)
    one, other = torch.combinations(torch.arange(group)).unbind(1)
    difference = (utility[:, one] - utility[:, other]).flatten()
    choice = torch.where(difference > 0, FIRST, torch.where(difference < 0, SECOND, TIE))
    start = torch.arange(pictures)[:, None] * group
    labels = Pairs(
        annotator=torch.zeros_like(choice),
        first=(start + one).flatten(),
        second=(start + other).flatten(),
        choice=choice,
        shown_first=torch.ones_like(choice, dtype=torch.bool),
    )
    return PairSet(task, Labelled(answers, ("truth",), (labels,)), group)


def scoring_sides(data: PairSet, reader: str, captions: int) -> list[Side]:
    """Captions scored by ensembles and single models, each caption with a picture of its own.

    Args:
        data: The captions.
        reader: The answer encoder: see ``ModelConfig``.
        captions: The number of captions that are scored at a time.

    Returns:
        An ensemble with nothing in common, as many single calls, two ensembles that share a frozen part, and
        one call of a single model.
    """
    answers = data.labelled.answers.take(torch.arange(captions) * data.group)

    def side(name: str, ensembles: Sequence[Ensemble]) -> Side:
        return Side(name, captions, True, lambda _: [one.predict(answers) for one in ensembles], [None])

    def models() -> list[RewardModel]:
        config = ModelConfig(reader=reader)
        return [RewardModel(data.task, config, seed=seed).eval() for seed in range(MEMBERS)]

    singles = [Ensemble([model]) for model in models()]
    return [
        side("ensemble of five", [Ensemble(models())]),
        side("five single calls", singles),
        side("five sharing the context", [Ensemble(models(), shared="context")]),
        side("five sharing the trunk", [Ensemble(models(), shared="trunk")]),
        side("one call", singles[:1]),
    ]


def scoring(
    context: Context, seed: int, reader: str, captions: int, repeats: int, seconds: float
) -> list[dict[str, Any]]:
    """Times all sides of scoring in turns."""
    sides = scoring_sides(caption_pairs(captions, 2, seed), reader, captions)
    turns = take_turns(sides, repeats, seconds)
    return [side.result(speeds) for side, speeds in zip(sides, turns, strict=True)]


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Time of ensembles over that of single models, and speeds."""
    ratios, speeds = [], []
    for one in findings["scoring"]:
        name, sides = READERS[one.cell.arguments["reader"]], one.result
        for ours, other in _COMPARED:
            # A quotient of times is that of speeds the other way round.
            ratio = ratio_of_medians(sides[other]["speeds"], sides[ours]["speeds"], np.random.default_rng(0))
            turns = str(len(sides[ours]["speeds"]))
            ratios.append((name, sides[ours]["name"], ratio.format(".2f"), turns, sides[other]["name"]))
        speeds.append(speed_table(f"Captions a second, {name}", sides))
    columns = ("model", "side", "quotient [95 %]", "turns", "compared with")
    return [Table("Time of scoring, medians (percentile bootstrap)", columns, ratios), *speeds]


EXPERIMENT = Experiment(
    "Speed of reward models",
    "Captions of MMCaption-v0 scored by an ensemble of five reward models, each caption with a picture of "
    "its own, as an environment hands them over. Members have nothing in common, or share a frozen context "
    "encoder or trunk.",
    (
        Grid(
            scoring,
            {"captions": 1024, "repeats": 11, "seconds": 0.5},
            {"reader": tuple(READERS)},
            quick={"captions": 16, "repeats": 2, "seconds": 0.01},
        ),
    ),
    tables,
)
