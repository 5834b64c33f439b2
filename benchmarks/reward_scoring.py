"""The sides of scoring: an ensemble of five beside single models."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.metric_sides import Contest, Duel
from benchmarks.reward_pairs import PairSet
from benchmarks.sides import Side
from feedback.reward_models import Ensemble, ModelConfig, RewardModel

MEMBERS = 5


def scoring_contests(data: PairSet, reader: str, captions: int) -> list[Contest]:
    """Captions scored by five members, each on a picture of its own, as an environment hands them over.

    Args:
        data: Where the captions come from.
        reader: How answers are read: see ``ModelConfig``.
        captions: How many are scored.

    Returns:
        Members with nothing in common beside as many single calls; members that share a frozen context
        encoder beside one call.
    """
    answers = data.labelled.answers.take(torch.arange(captions) * data.group)

    def side(name: str, ensembles: Sequence[Ensemble]) -> Side:
        return Side(name, captions, True, lambda _: [one.predict(answers) for one in ensembles], [None])

    def models() -> list[RewardModel]:
        return [
            RewardModel(data.task, ModelConfig(reader=reader), seed=seed).eval() for seed in range(MEMBERS)
        ]

    singles = [Ensemble([model]) for model in models()]
    apart = Contest(
        "scoring",
        [side("an ensemble of five", [Ensemble(models())]), side("five single calls", singles)],
        [Duel(0, 1, 1.05)],
    )
    shared = [
        side(f"five sharing the {what}", [Ensemble(models(), shared=what)]) for what in ("context", "trunk")
    ]
    together = Contest(
        "scoring, shared",
        [*shared, side("one call", singles[:1])],
        [Duel(0, 2, 2.0), Duel(1, 2, 2.0)],
    )
    return [apart, together]
