"""Recorded preferences as what policies learn from; see ``agents.pair_learning``."""

from __future__ import annotations

import torch

from agents.pair_loss import PairBatch
from feedback.preferences.batches import SKIP, Labelled
from mm_envs.batch import Lazily


def pair_batch(labelled: Labelled) -> PairBatch:
    """The pairs among labels, for ``agents.pair_learning.learn_pairs``.

    Pairs that were skipped are left out; in a tie neither answer is better, so the target is 0.5. Contexts
    are gathered batch by batch from the table of the answers.

    Raises:
        ValueError: There are no pairs among the labels.

    Example:
        >>> from feedback.preferences import FIRST, TIE, Answers, Pairs
        >>> answers = Answers.of({"x": torch.tensor([[7.0], [8.0]])}, torch.tensor([[0, 1], [2, 3]]))
        >>> row, both = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool)
        >>> pairs = Pairs(row, torch.tensor([0, 3]), torch.tensor([1, 2]), torch.tensor([FIRST, TIE]), both)
        >>> batch = pair_batch(Labelled(answers, ("ann",), (pairs,)))
        >>> batch.response.tolist(), batch.target.tolist(), batch.context["x"].tolist()
        ([[0, 1], [3, 2]], [1.0, 0.5], [[7.0], [8.0]])
    """
    pairs, answers = labelled.pairs, labelled.answers
    pairs = pairs.take(pairs.choice != SKIP)
    if not len(pairs):
        raise ValueError("all pairs were skipped, so there is nothing to learn: collect some")
    both = torch.stack([pairs.first, pairs.second], 1)
    rows = answers.context[pairs.first]
    turns = None if answers.turns is None else {key: one[both] for key, one in answers.turns.items()}
    return PairBatch(
        Lazily(answers.contexts, lambda value: value[rows]),
        answers.response[both],
        pairs.target,
        None if answers.length is None else answers.length[both],
        turns,
    )
