"""Who judges: simulated annotators, and later preferences, reward models and people."""

from feedback.annotators import SimulatedRater

__all__ = ["SimulatedRater"]
