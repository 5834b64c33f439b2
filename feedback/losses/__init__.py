"""Losses of every kind of feedback: pure functions of scores, each with its formula and its paper."""

from feedback.losses.likelihood import Likelihood, PairLikelihood
from feedback.losses.pairs import (
    bradley_terry,
    bradley_terry_with_margin,
    davidson,
    davidson_log_probabilities,
    label_smoothing,
    noise_mix,
    pair_loss,
    rao_kupper,
    reliability,
)
from feedback.losses.rankings import boltzmann, plackett_luce
from feedback.losses.ratings import approval, cumulative_logits, ordered_cuts

__all__ = [
    "Likelihood",
    "PairLikelihood",
    "approval",
    "boltzmann",
    "bradley_terry",
    "bradley_terry_with_margin",
    "cumulative_logits",
    "davidson",
    "davidson_log_probabilities",
    "label_smoothing",
    "noise_mix",
    "ordered_cuts",
    "pair_loss",
    "plackett_luce",
    "rao_kupper",
    "reliability",
]
