"""Simulated annotators: the true utility seen through a person's eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_envs.optional import lazy_attributes

if TYPE_CHECKING:
    from feedback.annotators.annotator import Comparer, Comparison
    from feedback.annotators.crowds import make_pool
    from feedback.annotators.decision import Decision
    from feedback.annotators.lenses import LENSES, Blind, Favourite, Length, Lens, Myopic, make_lens
    from feedback.annotators.pool import AnnotatorPool, PoolComparison
    from feedback.annotators.rater import SimulatedRater
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
        "feedback.annotators.lenses": [
            "LENSES",
            "Blind",
            "Favourite",
            "Length",
            "Lens",
            "Myopic",
            "make_lens",
        ],
        "feedback.annotators.pool": ["AnnotatorPool", "PoolComparison"],
        "feedback.annotators.rater": ["SimulatedRater"],
        "feedback.annotators.simulated": ["SimulatedAnnotator"],
        "feedback.annotators.teachers": ["ANNOTATORS", "CHARACTERS", "TEACHERS", "make_annotator"],
        "feedback.annotators.writing": ["Remarks"],
    },
)

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
