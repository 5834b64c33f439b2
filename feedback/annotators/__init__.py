"""Simulated annotators: the true utility seen through a person's eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_envs.optional import lazy_attributes

if TYPE_CHECKING:
    from feedback.annotators.annotator import Comparer, Comparison
    from feedback.annotators.biases import Bias, Blind, Favourite, Length, Myopic, make_bias
    from feedback.annotators.crowds import make_pool
    from feedback.annotators.decision import Decision
    from feedback.annotators.feedback import AnnotatorFeedback
    from feedback.annotators.pool import AnnotatorPool, PoolComparison
    from feedback.annotators.simulated import SimulatedAnnotator
    from feedback.annotators.teachers import ANNOTATORS, CHARACTERS, TEACHERS, make_annotator
    from feedback.annotators.writing import Remarks

# The default feedback of every environment needs one of these modules only.
__getattr__ = lazy_attributes(
    __name__,
    {
        "feedback.annotators.annotator": ["Comparer", "Comparison"],
        "feedback.annotators.crowds": ["make_pool"],
        "feedback.annotators.decision": ["Decision"],
        "feedback.annotators.biases": [
            "Blind",
            "Favourite",
            "Length",
            "Bias",
            "Myopic",
            "make_bias",
        ],
        "feedback.annotators.pool": ["AnnotatorPool", "PoolComparison"],
        "feedback.annotators.feedback": ["AnnotatorFeedback"],
        "feedback.annotators.simulated": ["SimulatedAnnotator"],
        "feedback.annotators.teachers": ["ANNOTATORS", "CHARACTERS", "TEACHERS", "make_annotator"],
        "feedback.annotators.writing": ["Remarks"],
    },
)

__all__ = [
    "ANNOTATORS",
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
