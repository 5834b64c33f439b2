"""Responses that annotators compare: samplers of answers, and the accuracy of scores on pairs of them."""

from feedback.responses.accuracy import PairAccuracy, pair_accuracy
from feedback.responses.edited import Edits, RightAndWrong
from feedback.responses.named import make_sampler
from feedback.responses.sampler import Sampler
from feedback.responses.samples import MismatchedReferences, Mixture, PolicySamples

__all__ = [
    "Edits",
    "MismatchedReferences",
    "Mixture",
    "PairAccuracy",
    "PolicySamples",
    "RightAndWrong",
    "Sampler",
    "make_sampler",
    "pair_accuracy",
]
