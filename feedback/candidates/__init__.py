"""Where the answers come from that people are asked about."""

from feedback.candidates.accuracy import PairAccuracy, pair_accuracy
from feedback.candidates.edited import Edits, RightAndWrong, right_and_wrong
from feedback.candidates.named import make_sampler
from feedback.candidates.sampler import Sampler
from feedback.candidates.samples import Mixture, OtherPictures, PolicySamples

__all__ = [
    "Edits",
    "Mixture",
    "OtherPictures",
    "PairAccuracy",
    "PolicySamples",
    "RightAndWrong",
    "Sampler",
    "make_sampler",
    "pair_accuracy",
    "right_and_wrong",
]
