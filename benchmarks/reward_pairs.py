"""Pairs of captions for the speed of reward models: answers that share their picture, and which is better."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.baselines.plain_reward import PlainPairs
from feedback.collection import draw_prompts
from feedback.preferences.batches import FIRST, SECOND, TIE, Answers, Labelled, Pairs
from mm_envs.data.text import EOS, PAD
from mm_envs.tasks.task import TokenTask

_FIRST_WORD, _EDITS = 3, 4


@dataclass(frozen=True)
class PairSet:
    """Pairs of captions of MMCaption-v0, judged by their true utility.

    Attributes:
        task: The task.
        labelled: Answers and pairs, as reward models take them.
        group: How many answers there are to a picture; every two of them are a pair.
    """

    task: TokenTask
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
    """Full captions in which up to four words are others, and every pair of those of one picture.

    Args:
        pictures: How many different pictures.
        group: How many answers to each.
        seed: Decides pictures and words.
    """
    generator = torch.Generator().manual_seed(seed)
    _, tickets = draw_prompts("MMCaption-v0", 1)
    assert isinstance(tickets.task, TokenTask)
    items = torch.tensor(tickets.task.dataset.range("train"))
    prompts, tickets = draw_prompts(
        "MMCaption-v0", pictures, items=items[torch.randperm(len(items), generator=generator)[:pictures]]
    )
    task = tickets.task
    assert isinstance(task, TokenTask)
    best = task.oracle(prompts.reference).repeat_interleave(group, 0)
    response = _edited(best, len(task.vocabulary), generator)
    length = ((response == EOS).cumsum(1) == 0).sum(1)
    reference = {name: value.repeat_interleave(group, 0) for name, value in prompts.reference.items()}
    utility = task.utility(response, length, reference).reward.view(pictures, group)
    answers = Answers.of(prompts.context, response.view(pictures, group, -1), length.view(pictures, group))
    first, second = torch.combinations(torch.arange(group)).unbind(1)
    difference = (utility[:, first] - utility[:, second]).flatten()
    choice = torch.where(difference > 0, FIRST, torch.where(difference < 0, SECOND, TIE))
    start = torch.arange(pictures)[:, None] * group
    labels = Pairs(
        annotator=torch.zeros_like(choice),
        first=(start + first).flatten(),
        second=(start + second).flatten(),
        choice=choice,
        shown_first=torch.ones_like(choice, dtype=torch.bool),
    )
    return PairSet(task, Labelled(answers, ("truth",), (labels,)), group)


def _edited(captions: torch.Tensor, words: int, generator: torch.Generator) -> torch.Tensor:
    """Captions with none to four of their words drawn anew."""
    count = torch.randint(_EDITS + 1, (len(captions), 1), generator=generator)
    order = torch.rand(captions.shape, generator=generator)
    order[(captions == EOS) | (captions == PAD)] = 2.0
    chosen = (order.argsort(1).argsort(1) < count) & (order < 2)
    other = torch.randint(_FIRST_WORD, words, captions.shape, generator=generator)
    return torch.where(chosen, other, captions)
