"""Who judges: annotators, preferences and their store, queries, reward models, and whom to trust."""

from feedback.annotators import SimulatedRater

__all__ = ["SimulatedRater"]
