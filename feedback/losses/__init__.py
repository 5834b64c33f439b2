"""Losses of every kind of feedback: pure functions of scores, each with its formula and its paper."""

from feedback.losses.likelihood import Likelihood, PairLikelihood
from feedback.losses.pairs import (
    bradley_terry,
    davidson,
    davidson_log_probabilities,
)
from feedback.losses.rankings import boltzmann, plackett_luce
from feedback.losses.ratings import approval, cumulative_logits, ordered_cuts

__all__ = [
    "Likelihood",
    "PairLikelihood",
    "approval",
    "boltzmann",
    "bradley_terry",
    "cumulative_logits",
    "davidson",
    "davidson_log_probabilities",
    "ordered_cuts",
    "plackett_luce",
]
