"""Pairs of captions for the speed of reward models: answers that share their picture, and which is better."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.baselines.plain_reward import PlainPairs
from feedback.collection import draw_prompts
from feedback.preferences.batches import FIRST, SECOND, TIE, Answers, Labelled, Pairs
from feedback.responses import Edits
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class PairSet:
    """Pairs of captions of MMCaption-v0, judged by their true utility.

    Attributes:
        task: The task.
        labelled: Answers and pairs, as reward models take them.
        group: How many answers there are to a picture; every two of them are a pair.
    """

    task: Task
    labelled: Labelled
    group: int

    def __len__(self) -> int:
        return len(self.labelled.pairs)

    @property
    def pairs_per_picture(self) -> int:
        """How many pairs share a picture."""
        return self.group * (self.group - 1) // 2

    def plain(self) -> PlainPairs:
        """The same for plain PyTorch."""
        answers, pairs = self.labelled.answers, self.labelled.pairs
        assert answers.length is not None
        return PlainPairs(
            answers.contexts["image"],
            answers.response,
            answers.length,
            answers.context,
            pairs.first,
            pairs.second,
            pairs.target,
        )


def caption_pairs(pictures: int, group: int, seed: int = 0) -> PairSet:
    """References with up to four edits, and every pair of those to one picture.

    Args:
        pictures: How many different pictures.
        group: How many answers to each.
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
