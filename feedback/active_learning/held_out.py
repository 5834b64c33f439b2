"""The accuracy of an ensemble on held-out pairs."""

from __future__ import annotations

from feedback.active_learning.loop import Scorer
from feedback.active_learning.pairs import CandidatePairs
from feedback.responses import PairAccuracy, pair_accuracy
from mm_envs.tasks.task import Task


def held_out_accuracy(scorer: Scorer, pairs: CandidatePairs, task: Task) -> PairAccuracy:
    """How often the mean score of the members is higher for the answer of higher true utility.

    Args:
        scorer: The ensemble.
        pairs: Pairs of another split than that which was asked about; exact ties of utility are left out.
        task: Says what is true.
    """
    scores = scorer.predict(pairs.answers).mean(0)
    first, second = (
        task.utility(one.response, one.response_length, pairs.prompts.reference).reward
        for one in map(pairs.episodes, (0, 1))
    )
    return pair_accuracy(scores[::2], scores[1::2], first, second, pairs.sampler)
