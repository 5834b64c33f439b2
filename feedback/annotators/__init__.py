"""Simulated annotators: the true utility seen through a person's eyes."""

from feedback.annotators.rater import SimulatedRater

__all__ = ["SimulatedRater"]
