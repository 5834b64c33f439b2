"""Learning who to trust: votes, agreement, and the reliability of annotators."""

from feedback.aggregation.agreement import Agreement, agreement_of, krippendorff_alpha, votes_of
from feedback.aggregation.reliability import Reliability, fit_reliability
from feedback.aggregation.report import AnnotatorSkill, trust_report
from feedback.aggregation.votes import DawidSkene, Votes, majority

__all__ = [
    "Agreement",
    "AnnotatorSkill",
    "DawidSkene",
    "Reliability",
    "Votes",
    "agreement_of",
    "fit_reliability",
    "krippendorff_alpha",
    "majority",
    "trust_report",
    "votes_of",
]
