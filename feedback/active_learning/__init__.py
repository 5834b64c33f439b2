"""Active learning: draw pairs, choose queries, ask, fit again; in rounds."""

from feedback.active_learning.asking import QueryLog, ask, items_of, labelled, queries_of, records
from feedback.active_learning.collection import Collection, differing_pairs
from feedback.active_learning.loop import (
    Plan,
    Round,
    Scorer,
    candidates_of,
    collect,
    held_out_accuracy,
)
from feedback.active_learning.pairs import CandidatePairs, draw_pairs, seed_of

__all__ = [
    "CandidatePairs",
    "Collection",
    "Plan",
    "QueryLog",
    "Round",
    "Scorer",
    "ask",
    "candidates_of",
    "collect",
    "differing_pairs",
    "draw_pairs",
    "held_out_accuracy",
    "items_of",
    "labelled",
    "queries_of",
    "records",
    "seed_of",
]
