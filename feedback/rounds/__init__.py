"""Online feedback in rounds: draw pairs, choose queries, ask, fit again."""

from feedback.rounds.asking import Asked, ask, items_of, labelled, names_of, queries_of, records
from feedback.rounds.collection import Collection, differing_pairs
from feedback.rounds.held_out import held_out_accuracy
from feedback.rounds.loop import Plan, Round, Scorer, candidates_of, choose, collect
from feedback.rounds.pairs import CandidatePairs, draw_pairs, joined, seed_of

__all__ = [
    "Asked",
    "CandidatePairs",
    "Collection",
    "Plan",
    "Round",
    "Scorer",
    "ask",
    "candidates_of",
    "choose",
    "collect",
    "differing_pairs",
    "draw_pairs",
    "held_out_accuracy",
    "items_of",
    "joined",
    "labelled",
    "names_of",
    "queries_of",
    "records",
    "seed_of",
]
