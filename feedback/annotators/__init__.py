"""Simulated annotators: the true utility seen through a person's eyes."""

from feedback.annotators.annotator import Comparer, Comparison
from feedback.annotators.crowds import make_pool
from feedback.annotators.decision import Decision
from feedback.annotators.lenses import LENSES, Blind, Favourite, Length, Lens, Myopic, make_lens
from feedback.annotators.pool import AnnotatorPool, PoolComparison
from feedback.annotators.rater import SimulatedRater
from feedback.annotators.simulated import SimulatedAnnotator
from feedback.annotators.teachers import ANNOTATORS, CHARACTERS, TEACHERS, make_annotator
from feedback.annotators.writing import Remarks

__all__ = [
    "ANNOTATORS",
    "CHARACTERS",
    "LENSES",
    "TEACHERS",
    "AnnotatorPool",
    "Blind",
    "Comparer",
    "Comparison",
    "Decision",
    "Favourite",
    "Length",
    "Lens",
    "Myopic",
    "PoolComparison",
    "Remarks",
    "SimulatedAnnotator",
    "SimulatedRater",
    "make_annotator",
    "make_lens",
    "make_pool",
]
