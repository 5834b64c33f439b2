"""Simulated annotators: the true utility seen through a person's eyes."""

from feedback.annotators.annotator import Comparer, Comparison
from feedback.annotators.biases import BIASES, Bias, Blind, Favourite, Length, Myopic, make_bias
from feedback.annotators.crowds import make_pool
from feedback.annotators.decision import Decision
from feedback.annotators.feedback import AnnotatorFeedback
from feedback.annotators.pool import AnnotatorPool, PoolComparison
from feedback.annotators.simulated import SimulatedAnnotator
from feedback.annotators.teachers import ANNOTATORS, CHARACTERS, TEACHERS, make_annotator
from feedback.annotators.writing import Remarks

__all__ = [
    "ANNOTATORS",
    "BIASES",
    "CHARACTERS",
    "TEACHERS",
    "AnnotatorFeedback",
    "AnnotatorPool",
    "Bias",
    "Blind",
    "Comparer",
    "Comparison",
    "Decision",
    "Favourite",
    "Length",
    "Myopic",
    "PoolComparison",
    "Remarks",
    "SimulatedAnnotator",
    "make_annotator",
    "make_bias",
    "make_pool",
]
