"""Human feedback: annotators, preferences and their store, labelling, queries, reward models, reliability."""

from feedback.annotators import AnnotatorFeedback

__all__ = ["AnnotatorFeedback"]
